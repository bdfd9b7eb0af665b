// Package storetest is what a store of DataFlows has to do, as a suite that any build of it can be put through.
//
// A random walk drives the real scripts on a real redis-server: flows are put, changed and deleted, heartbeats come,
// two workers claim, renew, complete and release, answers are lost, time passes, workers crash, and workers that have
// slept past their lease wake up and write. Beside it walks a model, a page of plain Go that knows the rules and nothing
// of Redis' data structures. After each step the whole of what Redis holds is read and compared with the model.
//
// What the comparison holds:
//
//   - No occurrence is lost: each slot is in the due set or held, each run-now in the queue, blocked or held.
//   - No occurrence is held by two live tokens, tokens rise, and an occurrence keeps its id while its attempts rise.
//   - No attempt is completed twice, and a token that is not the current one writes nothing.
//   - Nothing runs early: what is claimed is DueToRun as of a heartbeat that came.
//   - A heartbeat is settled exactly when nothing is due as of it and no run under it is open; its counts add up.
//   - DueToRun in Go, the list in Redis, the count of a heartbeat and what claims take are one and the same.
//   - Everything kept has its bound, and indexes hold what the records say.
//
// One walk knows no two calls at the same time. [RunConcurrently] has clients of their own work on the same flows at once, in
// real time, and asks whether what all of them were told could have been said to one after the other.
//
// The clock of the first walk is its own, without a hook in any script: scripts take the largest time they have seen if that is
// later than Redis' own, so a time far ahead in the partition's meta hash is what counts.
package storetest
