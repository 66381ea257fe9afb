package journal

// Encode, Quick and Slow are for tests: how a record is written, and the two ways in which a line is read.
func Encode(r Record) ([]byte, error) { return encode(r) }

func Quick(line []byte) (Record, bool) { return (&Decoder{}).quick(line) }

func Slow(line []byte) (Record, error) { return slow(line) }
