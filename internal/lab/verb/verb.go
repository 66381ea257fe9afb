// Package verb lists what the lab's daemon can be asked, with the types of each question and answer. It is what slipway-lab, the tests' helpers and the daemon share; it imports control and shopper
// alone of the lab.
package verb

import (
	"time"

	"github.com/slipway-dev/slipway/internal/lab/control"
	"github.com/slipway-dev/slipway/internal/lab/shopper"
)

// The verbs.
const (
	Up         control.Verb[UpRequest, Nothing]       = "up"
	Down       control.Verb[Nothing, Nothing]         = "down"
	Status     control.Verb[Nothing, Lab]             = "status"
	Kill       control.Verb[Machine, Nothing]         = "kill"
	Start      control.Verb[Machine, Nothing]         = "start"
	Freeze     control.Verb[Machine, Nothing]         = "freeze"
	Thaw       control.Verb[Machine, Nothing]         = "thaw"
	Cut        control.Verb[CutRequest, Nothing]      = "cut"
	Slow       control.Verb[SlowRequest, Nothing]     = "slow"
	Heal       control.Verb[Nothing, Nothing]         = "heal"
	Checkpoint control.Verb[Nothing, Nothing]         = "checkpoint"
	Config     control.Verb[ConfigRequest, Nothing]   = "config"
	ProofBegin control.Verb[Nothing, Nothing]         = "proof begin"
	ProofEnd   control.Verb[Nothing, Proof]           = "proof end"
	Shopper    control.Verb[ShopperRequest, Shopping] = "shopper"
)

// Nothing is the body or the result of verbs that have none.
type Nothing struct{}

// UpRequest chooses the fleet. Zero rows and files mean the shop's default size.
type UpRequest struct {
	Rows       int  `json:"rows"`
	Files      int  `json:"files"`
	Fresh      bool `json:"fresh"`
	Checkpoint bool `json:"checkpoint"` // start from what Checkpoint kept

	Without []string `json:"without"` // parts that are left out, by name
}

// Machine names a machine: a host, or one of the cloud's.
type Machine struct {
	Name string `json:"name"`
}

// CutRequest cuts the way between two machines, or of one to all others if B is empty. "outside" is everything that runs under slipway-lab run, and
// the cloud's endpoints.
type CutRequest struct {
	A string `json:"a"`
	B string `json:"b"`
}

// Outside is the name of all that is in the lab's network but in no machine.
const Outside = "outside"

// SlowRequest bounds what a machine sends and receives, each, by a rate in tc(8)'s form ("8mbit").
type SlowRequest struct {
	Name string `json:"name"`
	Rate string `json:"rate"`
}

// ConfigRequest asks for all that a rehearsal against this lab needs, in a directory.
type ConfigRequest struct {
	Dir string `json:"dir"`
}

// Lab is the state of a lab that is up. It is what `slipway-lab status --output json` prints.
type Lab struct {
	Name         string    `json:"name"`
	Pid          int       `json:"pid"` // the daemon's
	Since        time.Time `json:"since"`
	State        string    `json:"state"` // "starting", "up"
	Rows         int       `json:"rows"`
	Files        int       `json:"files"`
	Hosts        []Host    `json:"hosts"`
	Machines     []Host    `json:"machines"` // those of the lab's cloud
	Faults       []Fault   `json:"faults"`
	Endpoints    []Name    `json:"endpoints"` // of the cloud
	NetworkPid   int       `json:"network_pid"`
	NetworkInode uint64    `json:"network_inode"`
}

// Host is one machine's state.
type Host struct {
	Name    string `json:"name"`
	Role    string `json:"role,omitempty"`
	Suite   string `json:"suite,omitempty"`
	Address string `json:"address,omitempty"`
	State   string `json:"state"` // "running", "frozen", "down"
	Pid     int    `json:"pid,omitempty"`
	Memory  int64  `json:"memory,omitempty"` // bytes, proportional set size of all its processes
}

// The states of a host.
const (
	Running = "running"
	Frozen  = "frozen"
	Stopped = "down"
)

// Fault is one that was made and not undone.
type Fault struct {
	Kind string `json:"kind"` // "cut", "slow", "frozen", "killed"
	A    string `json:"a"`
	B    string `json:"b,omitempty"`
	Rate string `json:"rate,omitempty"`
}

// Name is something that answers in the lab's network.
type Name struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Proof is what changed on the source between begin and end.
type Proof struct {
	Findings   []Finding `json:"findings"`   // what Slipway's accounts changed, or nobody answers for: none, if the source was only read
	Ordinary   int       `json:"ordinary"`   // files that the hosts' own daemons changed, by the rules
	Files      int       `json:"files"`      // files looked at
	Statements int       `json:"statements"` // of Slipway's account at MariaDB, all of them reads
	Commands   []string  `json:"commands"`   // that Slipway's account ran through sudo
	Logins     int       `json:"logins"`     // of Slipway's account over SSH
	Zones      []string  `json:"zones"`      // that were compared
}

// Finding is one change that should not be.
type Finding struct {
	Where string `json:"where"` // a host, a MariaDB server, a zone
	What  string `json:"what"`
}

// ShopperRequest starts or stops the shopper, or asks for its ledger.
type ShopperRequest struct {
	Do       string  `json:"do"`       // one of the constants below
	Rate     float64 `json:"rate"`     // orders a second
	Browsers float64 `json:"browsers"` // visits without an order for each with one
}

// What the shopper can be asked to do.
const (
	StartShopping = "start"
	StopShopping  = "stop"
	ShowLedger    = "ledger"
)

// Shopping is the shopper's state.
type Shopping struct {
	Running bool            `json:"running"`
	Dir     string          `json:"dir"`              // where ledger and statistics are
	Stats   shopper.Stats   `json:"stats"`            // so far
	Report  *shopper.Report `json:"report,omitempty"` // what the ledger proves about db1, where asked
}
