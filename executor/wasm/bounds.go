package wasm

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The runtime makes room for what a module announces (so many types, locals, elements) before it reads any of it, and its tables
// are not part of the memory that is bounded. What is here keeps what a module costs in proportion to its size.
const (
	maxTables  = 1 << 20 // elements of all tables together, 8 bytes each
	maxLocals  = 50_000  // of a function, as browsers have it
	allLocals  = 4 << 20 // of all functions, 8 bytes each
	maxParams  = 1_000   // of a type, as browsers have it
	maxResults = 32      // of a type: a call of two bytes may put so many values on the stack
)

// Sections of a module, by their number.
const (
	sectionCustom    = 0
	sectionTypes     = 1
	sectionImports   = 2
	sectionTables    = 4
	sectionExports   = 7
	sectionStart     = 8
	sectionElements  = 9
	sectionCode      = 10
	sectionDataCount = 12
)

// bounded gives the module with a maximum for each of its tables, or says what it announces beyond what it may or beyond its own
// size. It understands no more of a module than that takes; what it passes on may still be none.
func bounded(code []byte) ([]byte, error) {
	const head = 8 // magic number and version
	if len(code) < head {
		return code, nil
	}
	out := append(make([]byte, 0, len(code)+64), code[:head]...)
	for s := (&scan{rest: code[head:]}); len(s.rest) > 0; {
		id := s.byte()
		content := s.take(s.number())
		if s.err != nil {
			return nil, s.err
		}
		section := &scan{rest: content}
		switch id {
		case sectionCustom:
			if string(section.take(section.number())) == "name" {
				section.names()
			}
		case sectionTypes:
			section.each("types", 3, section.functionType)
		case sectionTables:
			content = section.tables()
		case sectionElements:
			section.each("segments", 2, section.elements)
		case sectionCode:
			locals := uint64(0)
			section.each("functions", 3, func() { locals += section.function() })
			section.most("locals in all", locals, allLocals)
		case sectionImports, sectionExports:
			section.count("parts", 3)
		case sectionStart, sectionDataCount:
		default:
			section.count("parts", 1)
		}
		if section.err != nil {
			return nil, fmt.Errorf("section %d: %w", id, section.err)
		}
		out = append(out, id)
		out = binary.AppendUvarint(out, uint64(len(content)))
		out = append(out, content...)
	}
	return out, nil
}

// scan reads the parts of a module. After an error, which stays, there is nothing left to read.
type scan struct {
	rest []byte
	err  error
}

func (s *scan) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
	s.rest = nil
}

// most fails where there is more of something than there may be.
func (s *scan) most(what string, found, allowed uint64) {
	if found > allowed {
		s.fail("found %d %s, allowed are %d", found, what, allowed)
	}
}

func (s *scan) take(n uint64) []byte {
	if n > uint64(len(s.rest)) {
		s.fail("found a part that ends too early, allowed is a whole one")
		return nil
	}
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	return taken
}

func (s *scan) byte() byte {
	if taken := s.take(1); taken != nil {
		return taken[0]
	}
	return 0
}

// number reads an unsigned LEB128 number of 32 bits.
func (s *scan) number() uint64 {
	n, size := binary.Uvarint(s.rest[:min(len(s.rest), 5)])
	if size <= 0 || n > math.MaxUint32 {
		s.fail("found no number, allowed is one of 32 bits")
		return 0
	}
	s.rest = s.rest[size:]
	return n
}

// skipNumber passes over a LEB128 number of any kind.
func (s *scan) skipNumber() {
	for s.byte()&0x80 != 0 {
	}
}

// count reads how many things follow, of which each takes some bytes at least.
func (s *scan) count(what string, least uint64) uint64 {
	n := s.number()
	if n*least > uint64(len(s.rest)) {
		s.fail("found %d %s announced in %d bytes, allowed is what fits there", n, what, len(s.rest))
		return 0
	}
	return n
}

// each reads a count and then as many things.
func (s *scan) each(what string, least uint64, read func()) {
	for n := s.count(what, least); n > 0 && s.err == nil; n-- {
		read()
	}
}

// valueType passes over a type of a value: a byte, or a reference with what it refers to.
func (s *scan) valueType() {
	if kind := s.byte(); kind == 0x63 || kind == 0x64 {
		s.skipNumber()
	}
}

func (s *scan) valueTypes(what string, allowed uint64) {
	n := s.count(what, 1)
	s.most(what, n, allowed)
	for ; n > 0 && s.err == nil; n-- {
		s.valueType()
	}
}

func (s *scan) functionType() {
	if form := s.byte(); s.err == nil && form != 0x60 {
		s.fail("found a type of the form %#x, allowed are functions", form)
	}
	s.valueTypes("parameters", maxParams)
	s.valueTypes("results", maxResults)
}

// tables gives the section with a maximum for each table, so that all may have maxTables elements.
func (s *scan) tables() []byte {
	type table struct {
		kind     byte
		min, max uint64
	}
	var all []table
	total := uint64(0)
	s.each("tables", 3, func() {
		t := table{kind: s.byte(), max: math.MaxUint32}
		flags := s.byte()
		if s.err == nil && (t.kind != 0x70 && t.kind != 0x6f || flags > 1) {
			s.fail("found a table of the kind %#x with limits of the form %d, allowed are plain ones", t.kind, flags)
		}
		if t.min = s.number(); flags == 1 {
			t.max = s.number()
		}
		total += t.min
		all = append(all, t)
	})
	s.most("elements in tables", total, maxTables)
	if s.err != nil {
		return nil
	}
	content := binary.AppendUvarint(nil, uint64(len(all)))
	for _, t := range all {
		share := (maxTables - total) / uint64(len(all)) // that it may grow by
		content = binary.AppendUvarint(append(content, t.kind, 1), t.min)
		content = binary.AppendUvarint(content, min(t.max, t.min+share))
	}
	return append(content, s.rest...)
}

// elements passes over a segment of what tables start with. Its flags say what is there (1: no table, 2: which table or that it
// is only declared, 4: expressions in place of numbers of functions).
func (s *scan) elements() {
	flags := s.number()
	if flags&1 == 0 {
		if flags&2 != 0 {
			s.skipNumber()
		}
		s.expression()
	}
	if flags&3 != 0 {
		s.valueType() // or the kind of what is in it, a byte
	}
	s.each("elements", 1, func() {
		if flags&4 != 0 {
			s.expression()
		} else {
			s.skipNumber()
		}
	})
}

// expression passes over a constant expression.
func (s *scan) expression() {
	for s.err == nil {
		switch op := s.byte(); op {
		case 0x0b: // end
			return
		case 0x41, 0x42, 0x23, 0xd0, 0xd2: // a number: i32, i64, a global, no reference of a type, a function
			s.skipNumber()
		case 0x43: // f32
			s.take(4)
		case 0x44: // f64
			s.take(8)
		case 0xfd: // v128
			s.take(1 + 16)
		default:
			s.fail("found the instruction %#x in a constant, allowed are constants", op)
		}
	}
}

// function passes over a function, and gives how many locals it has.
func (s *scan) function() (locals uint64) {
	body := &scan{rest: s.take(s.number())}
	body.each("groups of locals", 2, func() {
		locals += body.number()
		body.valueType()
	})
	body.most("locals in a function", locals, maxLocals)
	if body.err != nil {
		s.fail("%w", body.err)
	}
	return locals
}

// names passes over the section of names, which must be exactly what its parts say: the runtime does not look at their sizes.
func (s *scan) names() {
	name := func(in *scan) { in.take(in.number()) }
	for len(s.rest) > 0 && s.err == nil {
		id := s.byte()
		part := &scan{rest: s.take(s.number())}
		associations := func() { part.each("names", 2, func() { part.skipNumber(); name(part) }) }
		switch id {
		case 0: // the module's
			name(part)
		case 1: // of functions
			associations()
		case 2: // of locals, by function
			part.each("functions", 2, func() { part.skipNumber(); associations() })
		default:
			continue
		}
		if part.err == nil && len(part.rest) > 0 {
			part.fail("found %d bytes more than the names of kind %d take, allowed is none", len(part.rest), id)
		}
		if part.err != nil {
			s.fail("%w", part.err)
		}
	}
}
