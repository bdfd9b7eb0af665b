package trigger

import "fmt"

// beatOf reads a stored message as a beat, or says what is wrong with it.
func (s Subjects) beatOf(m stored, unreadable error) (Beat, *fault) {
	if unreadable != nil {
		return Beat{}, &fault{faultHeader, fmt.Errorf("headers: %w", unreadable)}
	}
	tokens := s.tokens("beat", m.subject)
	if len(tokens) != 1 || !ValidName(tokens[0]) {
		return Beat{}, &fault{faultSubject, badSubject(m.subject, s.Beat("<group>"), "group: "+nameAllowed)}
	}
	beat, err := ParseBeat(tokens[0], m.data)
	if err != nil {
		bad := faultOf(m.data, MaxBody, err)
		return Beat{}, &bad
	}
	beat.ID, beat.Seq, beat.StoredAt, beat.TraceParent = m.id(), m.seq, m.at, m.traceParent()
	return beat, nil
}

func badSubject(found, form, rule string) error {
	return InvalidError{{Field: "subject", Found: quote(found), Allowed: form + " with " + rule}}
}
