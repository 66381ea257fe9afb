package runbooks_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"regexp"
	"strings"
)

// mariaDB speaks the server's side of the MySQL protocol (https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html)
// just far enough to be asked: it lets everybody in, records each statement, and answers a few.
type mariaDB struct{ wire *sourceWire }

// mayAsk are the statements that only read. A transaction must say that it does.
var mayAsk = []*regexp.Regexp{
	regexp.MustCompile(`(?is)^SELECT\b`),
	regexp.MustCompile(`(?is)^SHOW\b`),
	regexp.MustCompile(`(?is)^USE \S+$`),
	regexp.MustCompile(`(?is)^SET SESSION TRANSACTION (READ ONLY|ISOLATION LEVEL REPEATABLE READ)$`),
	regexp.MustCompile(`(?is)^SET ((autocommit|time_zone|wait_timeout|net_write_timeout|net_read_timeout|lock_wait_timeout|max_statement_time|character_set_(client|connection|results)|sql_mode|NAMES)( ?= ?[^;]*)?,? ?)+$`),
	regexp.MustCompile(`(?is)^START TRANSACTION (WITH CONSISTENT SNAPSHOT, )?READ ONLY$`),
	regexp.MustCompile(`(?is)^(COMMIT|ROLLBACK)$`),
}

// writes finds in a statement that reads what makes it do more.
var writes = regexp.MustCompile(`(?is)\bINTO\s+(OUTFILE|DUMPFILE|@)|\bFOR\s+UPDATE\b|\bLOCK\s+IN\b|\b(GET|RELEASE)_LOCK\b|\bSLEEP\s*\(|;|\bGLOBAL\s+[a-z_]+\s*=|\b(SETVAL|NEXTVAL|LASTVAL)\b`)

func readOnly(q string) bool { return matches(mayAsk, q) && !writes.MatchString(q) }

func (m *mariaDB) dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	go m.serve(ours)
	return theirs, nil
}

type answer struct {
	columns []string
	rows    [][]string
}

func (m *mariaDB) answer(q string) answer {
	switch {
	case q == "SHOW GLOBAL VARIABLES":
		return answer{[]string{"Variable_name", "Value"}, [][]string{{"version", "10.11.6-MariaDB"}, {"log_bin", "ON"}, {"server_id", "1"}}}
	case q == "SHOW DATABASES":
		return answer{[]string{"Database"}, [][]string{{"shop"}}}
	case q == "SHOW GRANTS":
		return answer{[]string{"Grants"}, [][]string{{"GRANT SELECT, PROCESS, SHOW VIEW, TRIGGER, EVENT, BINLOG MONITOR, SLAVE MONITOR ON *.* TO `slipway`@`127.0.0.1`"}}}
	case q == "SHOW MASTER STATUS":
		return answer{[]string{"File", "Position"}, [][]string{{"binlog.000001", "4"}}}
	case q == "SELECT VERSION()":
		return answer{[]string{"VERSION()"}, [][]string{{"10.11.6-MariaDB"}}}
	case strings.HasPrefix(q, "SELECT @@server_id"):
		return answer{[]string{"a", "b", "c", "d"}, [][]string{{"1", "0", "1", "1"}}}
	case strings.HasPrefix(q, "SHOW GLOBAL VARIABLES WHERE"):
		return answer{[]string{"Variable_name", "Value"}, [][]string{{"binlog_format", "ROW"}, {"binlog_row_image", "FULL"}, {"server_id", "1"}}}
	case strings.Contains(q, "FROM information_schema.SCHEMATA"):
		return answer{[]string{"a", "b"}, [][]string{{"utf8mb4", "utf8mb4_general_ci"}}}
	case strings.HasPrefix(q, "SELECT PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES"):
		return answer{[]string{"a"}, [][]string{{"SELECT"}, {"SHOW VIEW"}, {"TRIGGER"}, {"EVENT"}}}
	case q == "SELECT CURRENT_USER()":
		return answer{[]string{"a"}, [][]string{{"slipway@127.0.0.1"}}}
	case strings.HasPrefix(q, "SHOW STATUS LIKE 'binlog"):
		return answer{[]string{"Variable_name", "Value"}, [][]string{{"Binlog_snapshot_file", "binlog.000001"}, {"Binlog_snapshot_position", "4"}}}
	case strings.HasPrefix(q, "SELECT BINLOG_GTID_POS"):
		return answer{[]string{"a"}, [][]string{{"0-1-1"}}}
	}
	return answer{columns: []string{"nothing"}}
}

func (m *mariaDB) serve(c net.Conn) {
	defer c.Close()
	w := &packets{w: c, r: bufio.NewReader(c)}
	const flags = 0x00000001 | 0x00000200 | 0x00008000 | 0x00080000 // long password, protocol 4.1, secure connection, plugin auth
	hello := append([]byte{10}, "10.11.6-MariaDB\x00"...)
	hello = binary.LittleEndian.AppendUint32(hello, 1)
	hello = append(hello, "12345678\x00"...)
	hello = binary.LittleEndian.AppendUint16(hello, flags&0xffff)
	hello = append(hello, 45)
	hello = binary.LittleEndian.AppendUint16(hello, 2)
	hello = binary.LittleEndian.AppendUint16(hello, flags>>16)
	hello = append(hello, 21)
	hello = append(hello, make([]byte, 10)...)
	hello = append(hello, "123456789012\x00mysql_native_password\x00"...)
	if w.send(hello) != nil {
		return
	}
	if _, err := w.read(); err != nil || w.send(okay) != nil {
		return
	}
	for {
		b, err := w.read()
		if err != nil || b[0] == 0x01 { // COM_QUIT
			return
		}
		switch b[0] {
		case 0x03: // COM_QUERY
			err = m.query(w, string(b[1:]))
		case 0x16: // COM_STMT_PREPARE
			err = m.prepare(w, string(b[1:]))
		case 0x17: // COM_STMT_EXECUTE: no row
			err = w.all([]byte{1}, column("nothing"), end, end)
		case 0x19: // COM_STMT_CLOSE has no answer
		default: // COM_PING and the like
			err = w.send(okay)
		}
		if err != nil {
			return
		}
	}
}

func (m *mariaDB) said(q string) {
	m.wire.mu.Lock()
	defer m.wire.mu.Unlock()
	m.wire.statements = append(m.wire.statements, q)
}

func (m *mariaDB) prepare(w *packets, q string) error {
	m.said(q)
	n := strings.Count(q, "?")
	head := binary.LittleEndian.AppendUint16([]byte{0, 1, 0, 0, 0, 1, 0}, uint16(n)) // statement 1, of one column
	all := [][]byte{append(head, 0, 0, 0)}
	for range n {
		all = append(all, column("?"))
	}
	return w.all(append(all, end, column("nothing"), end)...)
}

func (m *mariaDB) query(w *packets, q string) error {
	m.said(q)
	if !strings.HasPrefix(q, "SELECT") && !strings.HasPrefix(q, "SHOW") {
		return w.send(okay)
	}
	a := m.answer(q)
	all := [][]byte{{byte(len(a.columns))}}
	for _, name := range a.columns {
		all = append(all, column(name))
	}
	all = append(all, end)
	for _, r := range a.rows {
		var b bytes.Buffer
		for _, v := range r {
			b.Write(lenenc(v))
		}
		all = append(all, b.Bytes())
	}
	return w.all(append(all, end)...)
}

// column is a column's definition.
func column(name string) []byte {
	var b bytes.Buffer
	for _, s := range []string{"def", "", "", "", name, name} {
		b.Write(lenenc(s))
	}
	b.Write([]byte{0x0c, 45, 0, 0, 1, 0, 0, 253, 0, 0, 0, 0, 0})
	return b.Bytes()
}

var (
	okay = []byte{0, 0, 0, 2, 0, 0, 0}
	end  = []byte{0xfe, 0, 0, 2, 0}
)

func lenenc(s string) []byte { return append([]byte{byte(len(s))}, s...) } // shorter than 251

type packets struct {
	w   io.Writer
	r   *bufio.Reader
	seq byte
}

func (p *packets) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return nil, err
	}
	p.seq = head[3] + 1
	b := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(p.r, b)
	return b, err
}

func (p *packets) all(bs ...[]byte) error {
	for _, b := range bs {
		if err := p.send(b); err != nil {
			return err
		}
	}
	return nil
}

func (p *packets) send(b []byte) error {
	head := []byte{byte(len(b)), byte(len(b) >> 8), byte(len(b) >> 16), p.seq}
	p.seq++
	_, err := p.w.Write(append(head, b...))
	return err
}
