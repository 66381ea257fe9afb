package migrate

// Tell is Progress in the form in which clients of clouds and clusters take it: what is waited for, and how far it is (total 0: not
// known).
func (s *Scope[C]) Tell(what string, done, total int64) {
	s.Progress(Progress{What: what, Done: done, Total: total})
}
