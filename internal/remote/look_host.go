package remote

import (
	_ "embed"
	"time"
)

//go:embed facts.sh
var factsScript string

// HostFacts asks for all that package inventory/scan reads of a host, in one round trip. The format of the answer is in
// facts.sh; scan parses it.
func HostFacts() Query {
	return Query{name: "host facts", argv: []string{"sh", "-s"}, stdin: factsScript, limit: 8 << 20, timeout: 30 * time.Second}
}

// Clock answers every line on its input with the host's time, as date +%s.%N prints it: seconds since 1970, UTC, with
// nanoseconds. It ends at the end of its input. For Stream.
func Clock() Query {
	return Query{name: "clock", argv: []string{"sh", "-c", `while read -r _; do date +%s.%N || exit 1; done`}, timeout: 20 * time.Second}
}
