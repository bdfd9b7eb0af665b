package supervisor

import "testing"

func TestMarkOfARunUnderWayIsNotGivenOnceMore(t *testing.T) {
	t.Parallel()
	s := &server{instance: 1 << 39, marks: map[uint64]*run{}}
	long := s.newMark()
	s.marks[long] = &run{}
	s.next += 1<<markBits - 1 // as many other runs have come and gone
	if next := s.newMark(); next == long || next>>markBits != s.instance {
		t.Errorf("got %#x beside %#x", next, long)
	}
}
