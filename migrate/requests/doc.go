// Package requests carries what a person says in one terminal to the process that holds a run in another: pass or abort a
// gate, turn the run back, stop at the next safe point. Only the process that holds a run writes its journal, so the other
// leaves a file in the run's directory, and reads the answer from the file beside it.
//
//	requests/20261123-010203.000000000-7f3a.json         what is asked: a Request
//	requests/20261123-010203.000000000-7f3a.answer.json  what became of it: an Answer
//
// Both are written whole: under another name, synced, renamed, and the directory synced; mode 0600 in a directory of mode
// 0700. A request is pending as long as it has no answer, however many processes come and go meanwhile, and the journal
// says of each that had an effect that it had it: the id of the request stands in the record. So a request that was taken
// by a process that died before it could answer is answered by the next one, and not carried out a second time.
//
// [Box] is the directory, for both sides. [Clerk] is the side of the process that holds the run.
//
// The package imports migrate and the standard library. It must not import anything under internal, steps or cmd.
package requests
