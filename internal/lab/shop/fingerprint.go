package shop

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Fingerprint changes when what the seeder makes for the size changes: it is for the keys of caches of a filled
// shop. It looks at the schema, at every name of the assets, and at one in 97 rows and pictures, so that it costs
// milliseconds and not the seconds of making it all.
func (s Size) Fingerprint() string {
	const every = 97
	h := sha256.New()
	fmt.Fprintln(h, schema, s)
	for _, t := range s.tables() {
		fmt.Fprintln(h, t.name, t.columns, t.rows)
		for i := 0; i < t.rows; i += every {
			for _, v := range t.row(i) {
				fmt.Fprintf(h, "%T %v\x00", v, v)
			}
		}
	}
	for i, a := range s.assets() {
		fmt.Fprintf(h, "%q %d %q %d %d\n", a.path, a.kind, a.target, a.content, a.size)
		if i%every == 0 && a.kind == regular {
			h.Write(s.body(a))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
