// Package migrate is the engine: it runs a runbook of typed steps, records in a journal what it is about to do and what
// came of it, goes on after a crash at any instant, and takes everything back in reverse.
//
// # For the author of a step
//
// A [Step] is a plain struct of the package steps/<system>, one a file, with five methods. Its first two type parameters
// are small interfaces of that package: what it looks with and what it acts with. The third is its result, a struct of
// plain data. The engine keeps the promises of docs/adding-a-step.md if the step keeps its own, which [Step] states and
// the package steptest tests.
//
//	type Namespace struct{ Cluster migrate.Ref[google.Cluster] }
//
//	type NamespaceOut struct{ Name string }
//
//	func (Namespace) Spec() migrate.Spec {
//		return migrate.Spec{ID: "standup.namespace", Title: "make the namespace", OnUndoFailure: migrate.GoOn}
//	}
//
//	func (Namespace) Plan(ctx context.Context, s *migrate.Scope[Look], rec migrate.Recorded[NamespaceOut]) (migrate.Plan[NamespaceOut], error) {
//		want := NamespaceOut{Name: "slipway-" + s.Run()}
//		there, err := s.C.HasNamespace(ctx, want.Name)
//		if err != nil {
//			return migrate.Plan[NamespaceOut]{}, err
//		}
//		if there {
//			return migrate.Done(want), nil
//		}
//		return migrate.Plan[NamespaceOut]{
//			Want:    want,
//			Effects: []migrate.Effect{{Verb: "create", Object: "namespace " + want.Name}},
//		}, nil
//	}
//
// # For the author of a runbook
//
// [NewRunbook], [Runbook.Phase], [Runbook.PhaseWithin], [Add]: see [Runbook]. What a step may touch is decided where it is added, by an [Eye]
// and a [Hand]: [Look], [LookAt], [Shadow], [Created], [Maker], and [Real], which gives a hand on production and exists
// for a [Cutover] only, so that a rehearsal that is wired to production does not compile.
//
// # For the one who runs it
//
// [Begin] and [Open] make a [Run]; [Run.Resume], [Run.Rollback] and [Run.Pause] move it, [Run.Listen] shows it,
// [Run.Close] ends it. [ReadHistory] reads any run's journal without a runbook, [Follow] goes on reading it while others
// write it; the package requests brings what a person says in another terminal to the process that holds the run. [State] has the states a run can be in
// and what leads from one to the other.
//
// # Promises
//
//   - An intent is durable before the step's Run begins, and the outcome before the next step's.
//   - State is the fold of what is on disk: nothing is believed that was not recorded first.
//   - A recorded result is looked at again before it is relied on by a new process; an intent without an outcome is
//     planned again, never blindly run.
//   - Nothing is undone while a Run is still running, and nothing is undone that this run did not do.
//
// The package imports migrate/journal, the standard library and go-multierror. It must not import SSH, SQL, Kubernetes,
// cloud clients, steps or anything under internal.
package migrate
