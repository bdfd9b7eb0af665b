package executor

import "encoding/json"

// Answered is the success of a run whose flow answered in JSON: an object may carry the new cursor and a message. Anything
// else is a success without them, as many a program says something of its own there.
func Answered(answer []byte) Result {
	var given struct {
		Cursor  json.RawMessage `json:"cursor"`
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(answer, &given) != nil {
		return Result{}
	}
	var message string
	_ = json.Unmarshal(given.Message, &message) // a message that is no text is the flow's own affair
	return Result{Cursor: JSONCursor(given.Cursor), Message: message}
}

// JSONCursor gives the text of a JSON string as a cursor, and the JSON of anything else but null, which changes nothing.
func JSONCursor(raw json.RawMessage) *string {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	return &text
}
