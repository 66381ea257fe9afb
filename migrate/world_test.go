package migrate_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/slipway-dev/slipway/migrate/journal/crashfs"
)

// The world of the engine's tests: a shop with rows and files on an old side and a new one, followers between them, an
// edge that says who serves, a zone, a cluster. Orders come in whenever anybody looks or acts, between any two calls.

type event struct{ key, origin string }

// side is a database.
type side struct {
	name    string
	rows    map[string]int
	log     []event
	applied int // position in the other side's log; moves in the transaction of the row
	frozen  bool
}

func newSide(name string) *side { return &side{name: name, rows: map[string]int{}} }

func (s *side) write(key, origin string) {
	s.rows[key]++
	s.log = append(s.log, event{key, origin})
}

// env is what a cut-over changes: production's, or a rehearsal's shadow of it.
type env struct {
	src  *side
	edge string
	zone map[string]string
}

func newEnv(name string) *env {
	return &env{newSide(name), "old", map[string]string{"www": "1.1.1.1", "api": "1.1.1.1"}}
}

type artifact struct {
	pos  int
	rows map[string]int
}

type world struct {
	mu      sync.Mutex
	life    *crashfs.Life
	prod    *env
	shadow  *env
	target  *side
	cluster string
	files   map[string]string
	store   map[string]artifact

	done     map[string]int // effects by name
	onProd   []string       // effects on production
	ledger   []string       // orders that were acknowledged
	orders   int            // how many may come in
	ticks    int
	lives    int               // processes that have begun, in a story that counts them
	failing  map[string]int    // effect -> how often it fails; -1: always
	onEffect func(what string) // with the lock held
}

func newWorld() *world {
	w := &world{life: crashfs.NewLife(0), prod: newEnv("prod"), shadow: newEnv("shadow"), target: newSide("target"),
		files: map[string]string{"0": "there before"}, store: map[string]artifact{}, done: map[string]int{}, failing: map[string]int{}, orders: 30}
	w.target.frozen = true
	for i := range 3 {
		w.prod.src.write(fmt.Sprintf("row%d", i), "prod")
	}
	return w
}

// shop is one order to the side that serves, if it takes writes.
func (w *world) shop() {
	if w.ticks++; w.ticks%3 != 0 {
		return
	}
	s := w.prod.src
	if w.prod.edge == "new" {
		s = w.target
	}
	if s.frozen || len(w.ledger) >= w.orders {
		return
	}
	key := fmt.Sprintf("order%d", len(w.ledger))
	s.write(key, s.name)
	w.ledger = append(w.ledger, key)
}

var errInjected = errors.New("injected")

// act is one effect on e, or on what the run made for nil. half is what a kill in its middle leaves.
func (w *world) act(e *env, what string, half, f func()) error {
	var middle func()
	if half != nil {
		middle = func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			half()
		}
	}
	return w.life.Act(what, middle, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := w.failing[what]; n != 0 {
			w.failing[what] = n - 1
			return fmt.Errorf("%s: %w", what, errInjected)
		}
		w.shop()
		f()
		w.done[what]++
		if w.onEffect != nil {
			w.onEffect(what)
		}
		if e == w.prod {
			w.onProd = append(w.onProd, what)
		}
		w.shop()
		return nil
	})
}

func look[T any](w *world, f func() T) (t T, err error) {
	if _, dead := w.life.Killed(); dead {
		return t, crashfs.ErrKilled
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t = f()
	w.shop() // the world goes on between two looks
	return t, nil
}

// change is what happens to the world besides the run.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// ---- what steps look and act with ----

type sourceLook interface {
	Rows() (artifact, error)
	Tip() (int, error)
	Log(from int) ([]event, error)
	Applied() (int, error)
	Frozen() (bool, error)
}

type sourceAct interface {
	sourceLook
	Freeze(bool) error
	ApplyBack(key string, pos int) error
}

// db looks at a side; it is a type of its own and embeds nothing that could be asserted into more.
type db struct {
	w  *world
	of func() *side
}

func (d db) Rows() (artifact, error) {
	return look(d.w, func() artifact { return artifact{len(d.of().log), maps.Clone(d.of().rows)} })
}
func (d db) Tip() (int, error)     { return look(d.w, func() int { return len(d.of().log) }) }
func (d db) Applied() (int, error) { return look(d.w, func() int { return d.of().applied }) }
func (d db) Frozen() (bool, error) { return look(d.w, func() bool { return d.of().frozen }) }
func (d db) Log(from int) ([]event, error) {
	return look(d.w, func() []event { return slices.Clone(d.of().log[min(from, len(d.of().log)):]) })
}

type source struct {
	db
	e *env
}

func newSource(w *world, e *env) source {
	return source{db{w, func() *side { return e.src }}, e}
}

func (s source) Freeze(on bool) error {
	return s.w.act(s.e, fmt.Sprintf("source.freeze(%v)", on), nil, func() { s.e.src.frozen = on })
}

func (s source) ApplyBack(key string, pos int) error {
	return s.w.act(s.e, fmt.Sprintf("source.apply %s@%d", key, pos), nil, func() {
		if key != "" {
			s.e.src.write(key, "target")
		}
		s.e.src.applied = pos
	})
}

type (
	edgeLook interface{ Where() (string, error) }
	edgeAct  interface {
		edgeLook
		Point(to string) error
	}
	zoneLook interface {
		Records() (map[string]string, error)
	}
	zoneAct interface {
		zoneLook
		Set(name, to string) error
	}
)

type edge struct {
	w *world
	e *env
}

func (x edge) Where() (string, error) { return look(x.w, func() string { return x.e.edge }) }
func (x edge) Point(to string) error {
	return x.w.act(x.e, "edge="+to, nil, func() { x.e.edge = to })
}
func (x edge) Records() (map[string]string, error) {
	return look(x.w, func() map[string]string { return maps.Clone(x.e.zone) })
}
func (x edge) Set(name, to string) error {
	return x.w.act(x.e, "dns "+name+"="+to, nil, func() { x.e.zone[name] = to })
}

type cloudLook interface {
	Find(name string) (bool, error)
}

type cloudMake interface {
	cloudLook
	Create(name string) error
	Delete(name string) error
}

type cloud struct{ w *world }

func (c cloud) Find(name string) (bool, error) {
	return look(c.w, func() bool { return c.w.cluster == name })
}

func (c cloud) fresh(name string) {
	c.w.cluster, c.w.target = name, newSide("target")
	c.w.target.frozen = true
}

func (c cloud) Create(name string) error {
	return c.w.act(nil, "cluster.create", nil, func() { c.fresh(name) })
}

func (c cloud) Delete(name string) error {
	return c.w.act(nil, "cluster.delete", nil, func() { c.fresh("") })
}

type targetLook interface {
	sourceLook
	FileNames() (map[string]string, error)
}

type targetAct interface {
	targetLook
	Put(key string) error
	At(pos int) error
	Apply(key string, pos int) error
	Clear() error
	Open(bool) error
	PutFile(name string) error
	DropFile(name string) error
}

// nothing is the target before it is there.
type nothing struct{}

func (nothing) Rows() (artifact, error)               { return artifact{rows: map[string]int{}}, nil }
func (nothing) Tip() (int, error)                     { return 0, nil }
func (nothing) Log(int) ([]event, error)              { return nil, nil }
func (nothing) Applied() (int, error)                 { return 0, nil }
func (nothing) Frozen() (bool, error)                 { return true, nil }
func (nothing) FileNames() (map[string]string, error) { return nil, nil }

type target struct{ db }

func newTarget(w *world) target { return target{db{w, func() *side { return w.target }}} }

func (t target) FileNames() (map[string]string, error) {
	return look(t.w, func() map[string]string { return maps.Clone(t.w.files) })
}
func (t target) Put(key string) error {
	return t.w.act(nil, "target.put "+key, nil, func() { t.w.target.write(key, "prod") })
}
func (t target) At(pos int) error {
	return t.w.act(nil, "target.at", nil, func() { t.w.target.applied = pos })
}
func (t target) Apply(key string, pos int) error {
	return t.w.act(nil, fmt.Sprintf("target.apply %s@%d", key, pos), nil, func() {
		t.w.target.applied = pos
		if key != "" {
			t.w.target.write(key, "prod")
		}
	})
}
func (t target) Clear() error {
	return t.w.act(nil, "target.clear", nil, func() { t.w.target.rows, t.w.target.applied = map[string]int{}, 0 })
}
func (t target) Open(on bool) error {
	return t.w.act(nil, fmt.Sprintf("target.open(%v)", on), nil, func() { t.w.target.frozen = !on })
}
func (t target) PutFile(name string) error {
	return t.w.act(nil, "file.put "+name, func() { t.w.files[name] = "half" }, func() { t.w.files[name] = "ours" })
}
func (t target) DropFile(name string) error {
	return t.w.act(nil, "file.drop "+name, nil, func() { delete(t.w.files, name) })
}

type storeAct interface {
	Has(id string) (artifact, bool, error)
	Save(id string, a artifact) error
}

type storeLook interface {
	Has(id string) (artifact, bool, error)
}

type store struct{ w *world }

func (s store) Has(id string) (a artifact, ok bool, err error) {
	a, err = look(s.w, func() (a artifact) { a, ok = s.w.store[id]; return a })
	return a, ok, err
}

func (s store) Save(id string, a artifact) error {
	return s.w.act(nil, "snapshot.save", nil, func() { s.w.store[id] = a })
}

type execs interface {
	Do(command string) (string, error)
}

// pod runs a user's commands.
type pod struct{ w *world }

var errExit1 = errors.New("exit 1")

func (p pod) Do(command string) (string, error) {
	switch command {
	case "no":
		return "", errExit1
	case "check":
		has, err := look(p.w, func() bool { return p.w.files["user"] != "" })
		if err == nil && !has {
			err = errExit1
		}
		return "", err
	}
	return "out-of-" + command, p.w.act(nil, "user "+command, nil, func() {
		if command == "undo" {
			delete(p.w.files, "user")
		} else {
			p.w.files["user"] = "x"
		}
	})
}

// The lookers that are handed out: each has the methods of its interface and no more.
type (
	cloudLooks  struct{ cloudLook }
	edgeLooks   struct{ edgeLook }
	zoneLooks   struct{ zoneLook }
	sourceLooks struct{ sourceLook }
	targetLooks struct{ targetLook }
	storeLooks  struct{ storeLook }
)
