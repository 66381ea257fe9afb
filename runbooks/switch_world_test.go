package runbooks_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-dev/slipway/internal/dbcopy/freeze"
	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// The world of a switch: two masters that replicate from each other, one instance that follows them, and customers who
// write wherever they are let in, between any two calls of a step, and while no process is there. A follower's position
// lies beside the rows that it applies. What must never be is looked for after each of these operations.

// logged is one transaction of a server's log.
type logged struct {
	domain uint32
	key    string // of the row that it writes; "" for none: a definition, a position
	mark   bool   // an applier of Slipway committed it
}

type account struct {
	freeze.Account
	above  bool // writes in spite of read_only
	locked bool
}

// door is who may come in at a server.
type door struct {
	readOnly bool
	accounts []*account
	sessions map[string]bool // by user: whether it was above read_only when it began
}

func newDoor(readOnly bool, users ...string) *door {
	d := &door{readOnly: readOnly, sessions: map[string]bool{}}
	for _, u := range users {
		name, locked := strings.CutSuffix(u, ", locked")
		d.accounts = append(d.accounts, &account{freeze.Account{User: name, Host: "%"}, name == "boss", locked})
	}
	return d
}

// lets signs a user in, if he isn't yet, and says whether he may write.
func (d *door) lets(user string) bool {
	if _, in := d.sessions[user]; !in {
		i := slices.IndexFunc(d.accounts, func(a *account) bool { return a.User == user && !a.locked })
		if i < 0 {
			return false
		}
		d.sessions[user] = d.accounts[i].above
	}
	return !d.readOnly || d.sessions[user]
}

// letsAny: somebody may write, or could if he signed in.
func (d *door) letsAny() bool {
	for _, above := range d.sessions {
		if !d.readOnly || above {
			return true
		}
	}
	return slices.ContainsFunc(d.accounts, func(a *account) bool { return !a.locked && (!d.readOnly || a.above) })
}

func (d *door) open() (out []freeze.Account) {
	for _, a := range d.accounts {
		if !a.locked {
			out = append(out, a.Account)
		}
	}
	return out
}

func (d *door) lock(as []freeze.Account, lock bool) {
	for _, a := range d.accounts {
		if slices.Contains(as, a.Account) {
			a.locked = lock
		}
	}
}

func (d *door) String() string {
	out := []string{fmt.Sprintf("read_only %t", d.readOnly)}
	for _, a := range d.accounts {
		out = append(out, fmt.Sprintf("%s locked %t", a.User, a.locked))
	}
	return strings.Join(out, ", ")
}

// reached is how far a follower is in the other side's log, and where it began.
type reached struct{ at, begin int }

// dbSide is one side's rows, the log that has them, and what it follows.
type dbSide struct {
	rows    map[string]int
	log     []logged
	next    uint64 // AUTO_INCREMENT
	streams map[string]*reached
	nested  bool // the canary's table is there
}

func newSide() *dbSide {
	return &dbSide{rows: map[string]int{}, next: 1, streams: map[string]*reached{}}
}

func (b *dbSide) commit(l logged) {
	if l.key != "" {
		b.rows[l.key]++
	}
	b.log = append(b.log, l)
}

const db1, db2 = 0, 1

type switchWorld struct {
	mu       sync.Mutex
	life     *crashfs.Life
	doors    [2]*door // of the masters
	timers   [2]*timer
	held     [2]bool // their option files have read_only on, by Slipway's file
	restarts bool    // now and then a master's host restarts
	quiet    bool    // not just now: a restart would make right what was left wrong when the files were taken away
	source   *dbSide
	late     []logged // written at db2, and not yet at db1, which is the one that is followed
	triggers []freeze.Trigger
	events   [2][]freeze.Event // of the masters, enabled; who defined them writes in spite of read_only
	made     []string          // triggers and events at the target
	awake    bool              // the events there
	still    bool              // no event is enabled at the source
	target   *dbSide
	entry    *door            // of the target
	waiting  []freeze.Account // noted at the target: locked on a way back
	newest   *reached
	checked  *int        // how far is verified in the source's log, beyond the comparison; nil: nothing is noted
	miss     func() bool // the follower passes a row by
	missed   string      // that it passed by
	found    int         // times that it was found

	ledger   []string        // writes that were acknowledged, wherever
	final    int             // how many there had been when a person finalized
	given    map[uint64]bool // numbers that were given out
	ticks    int
	followed bool           // nobody may be at the target any more but when it is open
	open     [2]bool        // source and target, when last looked
	done     map[string]int // changes by name
	fail     func(what string) error
	lose     func(what string) bool // loses the answer to a change that was made
	hang     func() bool            // the canary's answer does not come
	bad      []string
}

var allTriggers = []freeze.Trigger{{Schema: "shop", Name: "one", Create: "CREATE TRIGGER one"}, {Schema: "shop", Name: "two", Create: "CREATE TRIGGER two"}}

var nightly = freeze.Event{Schema: "shop", Name: "nightly", Definer: freeze.Account{User: "boss", Host: "%"}}

func newSwitchWorld() *switchWorld {
	w := &switchWorld{life: crashfs.NewLife(0), source: newSide(), target: newSide(), triggers: slices.Clone(allTriggers),
		doors:  [2]*door{newDoor(false, "app", "boss", "old, locked"), newDoor(true, "app", "boss")},
		events: [2][]freeze.Event{{nightly}, {}},
		entry:  newDoor(false, "app", "boss", "old, locked"), given: map[uint64]bool{}, done: map[string]int{}, open: [2]bool{true, false}}
	for range 3 { // what was copied
		w.write(w.source, 1)
	}
	for _, l := range w.source.log {
		w.target.commit(logged{key: l.key, mark: true})
	}
	w.target.next = w.source.next
	w.target.streams[forwardStream] = &reached{at: len(w.source.log)}
	w.entry.lets("app") // somebody tries the target
	return w
}

func (w *switchWorld) wrong(format string, args ...any) {
	if len(w.bad) < 6 {
		w.bad = append(w.bad, fmt.Sprintf(format, args...))
	}
}

// write is one acknowledged write of a customer. After each second one somebody takes a number and rolls back: no row and
// no log has it.
func (w *switchWorld) write(b *dbSide, domain uint32) {
	key := fmt.Sprintf("note-%d", len(w.ledger))
	if domain == 1 {
		key = fmt.Sprintf("order-%d", w.number(b))
		if len(w.ledger)%2 == 0 {
			w.number(b)
		}
	}
	w.ledger = append(w.ledger, key)
	l := logged{domain: domain, key: key}
	if b == w.target {
		l.domain = 0 // it has none
	}
	if domain == 2 {
		w.late = append(w.late, l)
		return
	}
	b.commit(l)
}

func (w *switchWorld) number(b *dbSide) uint64 {
	n := b.next
	if b.next++; w.given[n] {
		w.wrong("number %d is given out twice", n)
	}
	w.given[n] = true
	return n
}

// shop is one customer, who writes where he is let in.
func (w *switchWorld) shop() {
	w.ticks++
	w.fire()
	if w.ticks%5 == 0 {
		w.replicate()
	}
	if w.ticks%3 == 0 {
		w.tick()
	}
	if w.restarts && !w.quiet && w.ticks%3 == 1 {
		w.restart(db1)
		w.restart(db2)
	}
	c := []struct {
		user string
		at   int
	}{{"app", db1}, {"boss", db2}, {"app", db1}, {"boss", db1}, {"later", db1}}[w.ticks%5]
	switch {
	case w.doors[c.at].lets(c.user):
		if c.at == db1 && len(w.triggers) != len(allTriggers) {
			w.wrong("a customer writes at the source, and there are %d triggers", len(w.triggers))
		}
		w.write(w.source, uint32(c.at)+1)
	case w.followed && w.entry.lets(c.user):
		if w.newest == nil || w.newest.begin > len(w.target.log) {
			w.wrong("a customer writes at the target, and no way back has begun")
		}
		w.write(w.target, 1)
	}
}

// restart is a master's host that goes down and comes up: db2, the standby, is read-only by its own option files.
func (w *switchWorld) restart(i int) {
	d := w.doors[i]
	d.readOnly = w.held[i] || i == db2
	clear(d.sessions)
	w.look("a restart of the host of db" + fmt.Sprint(i+1))
}

// timer is a master's, armed or fired.
type timer struct {
	freeze.Timer
	at    time.Time
	fired bool
}

// fire lets each timer whose time has come do its work.
func (w *switchWorld) fire() {
	for i, t := range w.timers {
		if t == nil || t.fired || time.Now().Before(t.at) {
			continue
		}
		t.fired = true
		if i == db1 {
			w.triggers = slices.Clone(t.Triggers)
		}
		w.events[i] = slices.Clone(t.Events)
		w.doors[i].lock(t.Want.Lock, false)
		w.doors[i].readOnly = t.Want.WasReadOnly
		w.done["fire"]++
		w.look(fmt.Sprintf("the timer of db%d", i+1))
	}
}

// tick lets the events write, wherever they are enabled: nobody need be let in for that.
func (w *switchWorld) tick() {
	if slices.Contains(w.events[db1], nightly) {
		w.write(w.source, 1)
	}
	if w.awake {
		if w.newest == nil || w.newest.begin > len(w.target.log) {
			w.wrong("an event writes at the target, and no way back has begun")
		}
		w.write(w.target, 1)
	}
}

// replicate is the masters' own replication.
func (w *switchWorld) replicate() {
	for _, l := range w.late {
		w.source.commit(l)
	}
	w.late = nil
}

// look looks for what must never be.
func (w *switchWorld) look(after string) {
	open := [2]bool{w.doors[db1].letsAny() || w.doors[db2].letsAny(), w.followed && w.entry.letsAny()}
	if open[0] && open[1] {
		w.wrong("after %s both sides let customers write: %s; %s; target %s", after, w.doors[db1], w.doors[db2], w.entry)
	}
	for i, side := range []string{"source", "target"} {
		if open[i] && !w.open[i] {
			w.has(side, w.ledger, "it opens after "+after)
		}
	}
	fired := slices.ContainsFunc(w.timers[:], func(t *timer) bool { return t != nil && t.fired }) // before what is at the target was taken away
	if open[0] && (w.awake || len(w.made) > 0 && !fired) {
		w.wrong("after %s the source is open, and at the target there are %v, awake %t", after, w.made, w.awake)
	}
	if open[1] && !w.open[1] && (w.checked == nil || *w.checked < w.target.streams[forwardStream].at) {
		w.wrong("after %s the target is open, and not all that was brought there is verified", after)
	}
	if open[1] && w.newest != nil && (len(w.made) != 3 || w.awake == w.still) {
		w.wrong("after %s the target is open, and there are %v, awake %t", after, w.made, w.awake)
	}
	if open[0] && !slices.Equal(w.triggers, allTriggers) {
		w.wrong("after %s the source is open, and its triggers are %v", after, w.triggers)
	}
	if !w.doors[db1].accounts[2].locked || !w.entry.accounts[2].locked {
		w.wrong("after %s an account is unlocked that was locked before", after)
	}
	w.open = open
}

// has looks whether a side has these rows, each once.
func (w *switchWorld) has(side string, keys []string, when string) {
	b, late := w.source, w.late
	if side == "target" {
		b, late = w.target, nil
	}
	lost := 0
	for _, key := range keys {
		n := b.rows[key]
		for _, l := range late {
			if l.key == key {
				n++
			}
		}
		if n != 1 {
			if lost++; lost == 1 {
				w.wrong("%s: %s is %d times at the %s", when, key, n, side)
			}
		}
	}
	if lost > 1 {
		w.wrong("%s: %d of %d writes are not once at the %s", when, lost, len(keys), side)
	}
}

// act is one change. half is what a kill in its middle leaves; nil where the server does it whole or not at all.
func (w *switchWorld) act(what string, half, f func()) error {
	var middle func()
	if half != nil {
		middle = func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			half()
			w.look("half of: " + what)
		}
	}
	return w.life.Act(what, middle, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.fail != nil {
			if err := w.fail(what); err != nil {
				return err
			}
		}
		busy := !strings.HasPrefix(what, "apply ") || w.ticks%7 == 0 // or a follower would never be at the end
		if busy {
			w.shop()
		} else {
			w.ticks++
		}
		f()
		w.done[what]++
		w.look(what)
		if busy {
			w.shop()
			w.look("a customer, after " + what)
		}
		if w.lose != nil && w.lose(what) {
			return fmt.Errorf("%s: the answer is lost: %w", what, errInjected)
		}
		return nil
	})
}

// see is one look of a step; a follower's is quiet, because it is never at the end of looking.
func see[T any](w *switchWorld, quiet bool, f func() T) (t T, err error) {
	if _, dead := w.life.Killed(); dead {
		return t, crashfs.ErrKilled
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !quiet {
		w.shop()
	}
	t = f()
	if !quiet {
		w.shop()
		w.look("a look")
	}
	return t, nil
}

// alone is what goes on while no process is there, or while people think.
func (w *switchWorld) alone(writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range writes {
		w.shop()
		w.look("a customer")
	}
}

// masters says how the source stands.
func (w *switchWorld) masters() string {
	names := []string{}
	for _, t := range w.triggers {
		names = append(names, t.Name)
	}
	return fmt.Sprintf("db1: %s; db2: %s; triggers %v", w.doors[db1], w.doors[db2], names)
}
