package changes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/klauspost/compress/zstd"

	"github.com/slipway-dev/slipway/internal/binlog"
	"github.com/slipway-dev/slipway/internal/dbcopy/sqltext"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
)

// eventXAPrepare has one number on both servers.
const eventXAPrepare = replication.XA_PREPARE_LOG_EVENT

// assembler makes transactions of one connection's events. It does no I/O but spilling.
type assembler struct {
	flavor   value.Flavor
	tables   []*table
	byName   map[string]*table // by schema and table, joined by a NUL
	followed []string          // schemas
	opts     Options
	tell     func(string)

	parser *replication.BinlogParser
	inner  *replication.BinlogParser // of what a payload event holds, which has no checksums
	crc    bool                      // events end with a checksum

	end     Position // after the last transaction that was delivered
	file    string   // of the events
	offset  uint64   // after the last event
	newest  time.Time
	quiet   bool // a heartbeat came
	xa      map[string]bool
	pending rowsReader

	cur *current
}

// current is the transaction at hand.
type current struct {
	gtid      string
	maria     binlog.GTID
	mysql     string
	origin    uint32
	committed time.Time
	alone     bool // one statement, without an end of its own
	begun     bool // by BEGIN or XA START
	pile      pile
	mark      bool
	xa        string

	savepoints []savepoint // oldest first
}

// gone ends the transaction at hand, without giving it.
func (a *assembler) drop() error {
	if a.cur == nil {
		return nil
	}
	err := a.cur.pile.close()
	a.cur = nil
	return err
}

func (a *assembler) at() string { return binlog.File{Name: a.file, Offset: a.offset}.String() }

// stop makes the error that ends the reading.
func (a *assembler) stop(e StopError) *StopError {
	e.At = a.at()
	if a.cur != nil {
		e.GTID = a.cur.gtid
	}
	return &e
}

// passable makes the error of what a person may go on after.
func (a *assembler) passable(e StopError) error {
	s := a.stop(e)
	end, err := a.after()
	if err != nil {
		return err
	}
	s.End = end
	return s
}

// after is the position behind the transaction at hand, when its last event is the one at hand.
func (a *assembler) after() (Position, error) {
	p := Position{File: binlog.File{Name: a.file, Offset: a.offset}, MariaDB: a.end.MariaDB, MySQL: a.end.MySQL}
	if a.cur == nil {
		return p, nil
	}
	var err error
	if a.cur.maria != (binlog.GTID{}) {
		last := slices.DeleteFunc(p.MariaDB.Last(), func(g binlog.GTID) bool { return g.Domain == a.cur.maria.Domain })
		if p.MariaDB, err = binlog.NewMariaDB(append(last, a.cur.maria)...); err != nil {
			return p, err
		}
	}
	if a.cur.mysql != "" {
		one, err := binlog.ParseMySQL(a.cur.mysql)
		if err != nil {
			return p, err
		}
		p.MySQL = p.MySQL.Union(one)
	}
	return p, nil
}

// event takes one event as it came and gives the transaction that it ended, if it did. raw may be kept.
func (a *assembler) event(raw []byte) (_ *Transaction, err error) {
	var h replication.EventHeader
	defer func() {
		if r := recover(); r != nil {
			err = a.stop(StopError{Kind: StopDamaged, What: fmt.Sprintf("an event of type %d and %d bytes can't be read: %v", h.EventType, len(raw), r), Do: damaged})
		}
	}()
	if err := h.Decode(raw); err != nil || int(h.EventSize) != len(raw) {
		return nil, a.stop(StopError{Kind: StopDamaged, What: fmt.Sprintf("an event's head says that it has %d bytes, and %d came", h.EventSize, len(raw)), Do: damaged})
	}
	if h.EventType == replication.ROTATE_EVENT {
		return nil, a.rotate(raw)
	}
	// The description's own checksum is as it says itself: four bytes from its end stands the kind, always.
	described := h.EventType == replication.FORMAT_DESCRIPTION_EVENT && len(raw) > 24 && raw[len(raw)-5] == byte(replication.BINLOG_CHECKSUM_ALG_CRC32)
	if n := len(raw) - 4; (described || a.crc && h.EventType != replication.FORMAT_DESCRIPTION_EVENT) && (n < replication.EventHeaderSize || crc32.ChecksumIEEE(raw[:n]) != binary.LittleEndian.Uint32(raw[n:])) {
		return nil, a.stop(StopError{Kind: StopDamaged, What: fmt.Sprintf("an event of type %d and %d bytes has another checksum than it says", h.EventType, len(raw)), Do: damaged})
	}
	if h.EventType != replication.FORMAT_DESCRIPTION_EVENT && h.EventType != replication.HEARTBEAT_EVENT && h.EventType != replication.HEARTBEAT_LOG_EVENT_V2 && h.Flags&replication.LOG_EVENT_ARTIFICIAL_F == 0 {
		a.advance(h)
	}
	return a.one(a.parser, h, raw)
}

const damaged = "read it with the server's own mysqlbinlog (mariadb-binlog): if that can't either, the log is damaged there, and a new copy is needed; if it can, report this"

// advance counts the place in the log. A log of more than 4 GiB, which one large transaction makes, has the lower 32 bits of
// its places in its events only; MariaDB since 11.4 writes none inside a transaction.
func (a *assembler) advance(h replication.EventHeader) {
	if h.LogPos == 0 {
		a.offset += uint64(h.EventSize)
		return
	}
	next := a.offset&^0xffffffff | uint64(h.LogPos)
	if next < a.offset {
		next += 1 << 32
	}
	a.offset = next
}

// rotate names the file that comes. One that the server makes for a reader comes before the format description, with or
// without a checksum.
func (a *assembler) rotate(raw []byte) error {
	body := raw[replication.EventHeaderSize:]
	if n := len(raw) - 4; len(body) > 12 && crc32.ChecksumIEEE(raw[:n]) == binary.LittleEndian.Uint32(raw[n:]) {
		body = body[:len(body)-4]
	}
	if len(body) < 9 {
		return a.stop(StopError{Kind: StopDamaged, What: "a rotate event is cut off", Do: damaged})
	}
	f, err := binlog.ParseFile(string(body[8:]) + ":4")
	if err != nil {
		return a.stop(StopError{Kind: StopDamaged, What: fmt.Sprintf("a rotate event: %v", err), Do: damaged})
	}
	a.file, a.offset = f.Name, little(body[:8])
	return nil
}

// one takes an event of the log itself or of a payload.
func (a *assembler) one(p *replication.BinlogParser, h replication.EventHeader, raw []byte) (*Transaction, error) {
	if why := a.refused(h.EventType); why != nil {
		return nil, why
	}
	switch h.EventType {
	case replication.PREVIOUS_GTIDS_EVENT, replication.MARIADB_GTID_LIST_EVENT, replication.MARIADB_BINLOG_CHECKPOINT_EVENT, replication.MARIADB_ANNOTATE_ROWS_EVENT, replication.ROWS_QUERY_EVENT,
		replication.STOP_EVENT, replication.INTVAR_EVENT, replication.RAND_EVENT, replication.USER_VAR_EVENT, replication.BEGIN_LOAD_QUERY_EVENT, replication.APPEND_BLOCK_EVENT,
		replication.DELETE_FILE_EVENT, replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT:
		return nil, nil // nothing in them is needed
	case eventXAPrepare:
		return a.prepared(h)
	}
	ev, err := p.Parse(raw)
	if err != nil {
		return nil, a.stop(StopError{Kind: StopDamaged, What: fmt.Sprintf("an event of type %d can't be read: %v", h.EventType, err), Do: damaged})
	}
	if h.Timestamp > 0 && h.EventType != replication.FORMAT_DESCRIPTION_EVENT {
		a.newest = time.Unix(int64(h.Timestamp), 0).UTC()
	}
	switch e := ev.Event.(type) {
	case *replication.FormatDescriptionEvent:
		return nil, a.described(e, raw)
	case *replication.HeartbeatEvent:
		a.quiet = a.cur == nil
	case *replication.MariadbGTIDEvent:
		g := binlog.GTID{Domain: e.GTID.DomainID, Server: h.ServerID, Seq: e.GTID.SequenceNumber}
		return nil, a.begin(&current{gtid: g.String(), maria: g, origin: h.ServerID, committed: a.newest, alone: e.IsStandalone()})
	case *replication.GTIDEvent:
		return nil, a.beginMySQL(h, e)
	case *replication.GtidTaggedLogEvent:
		return nil, a.beginMySQL(h, &e.GTIDEvent)
	case *replication.QueryEvent:
		return a.query(string(e.Schema), string(e.Query), h)
	case *replication.ExecuteLoadQueryEvent:
		return nil, a.passable(StopError{Kind: StopStatement, What: "a LOAD DATA is in the log as a statement", Do: rowFormat})
	case *replication.RowsEvent:
		return nil, a.rows(h, e)
	case *replication.XIDEvent:
		return a.commit(h)
	case *replication.TransactionPayloadEvent:
		return a.payload(raw)
	}
	return nil, nil
}

// refused is the allow-list.
func (a *assembler) refused(t replication.EventType) error {
	switch t {
	case replication.FORMAT_DESCRIPTION_EVENT, replication.STOP_EVENT, replication.QUERY_EVENT, replication.XID_EVENT, replication.TABLE_MAP_EVENT,
		replication.INTVAR_EVENT, replication.RAND_EVENT, replication.USER_VAR_EVENT, // they lead a statement, which is judged
		replication.BEGIN_LOAD_QUERY_EVENT, replication.APPEND_BLOCK_EVENT, replication.DELETE_FILE_EVENT, replication.EXECUTE_LOAD_QUERY_EVENT,
		replication.HEARTBEAT_EVENT, eventXAPrepare:
		return nil
	case replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1,
		replication.MARIADB_ANNOTATE_ROWS_EVENT, replication.MARIADB_BINLOG_CHECKPOINT_EVENT, replication.MARIADB_GTID_EVENT, replication.MARIADB_GTID_LIST_EVENT,
		replication.MARIADB_QUERY_COMPRESSED_EVENT, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1,
		replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		if a.flavor == value.MariaDB {
			return nil
		}
	case replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.ROWS_QUERY_EVENT,
		replication.GTID_EVENT, replication.ANONYMOUS_GTID_EVENT, replication.PREVIOUS_GTIDS_EVENT, replication.GTID_TAGGED_LOG_EVENT,
		replication.HEARTBEAT_LOG_EVENT_V2, replication.TRANSACTION_PAYLOAD_EVENT, replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT:
		if a.flavor == value.MySQL {
			return nil
		}
	case replication.PARTIAL_UPDATE_ROWS_EVENT:
		return a.stop(StopError{Kind: StopImage, What: "a row's JSON value was logged in part (binlog_row_value_options=PARTIAL_JSON)",
			Do: "SET GLOBAL binlog_row_value_options = '' there, see that no session sets it, and copy anew"})
	case replication.INCIDENT_EVENT:
		return a.stop(StopError{Kind: StopIncident, What: "the server wrote that events are missing from its log here", Do: "what is missing can't be known: copy anew"})
	}
	return a.stop(StopError{Kind: StopEvent, What: fmt.Sprintf("an event of type %d, which this program doesn't know: rows might be in it", byte(t)),
		Do: "if it is of a newer server's feature, switch that off there and copy anew; report this"})
}

// described begins a file, or a connection.
func (a *assembler) described(e *replication.FormatDescriptionEvent, raw []byte) error {
	a.crc = e.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32
	a.inner = newParser()
	if !a.crc {
		_, err := a.inner.Parse(raw)
		return err
	}
	plain := bytes.Clone(raw)
	plain[len(plain)-5] = byte(replication.BINLOG_CHECKSUM_ALG_OFF)
	_, err := a.inner.Parse(plain)
	return err
}

func newParser() *replication.BinlogParser {
	p := replication.NewBinlogParser()
	// Rows are decoded here, from the event's bytes; of table maps only what every server writes.
	p.SetRowsEventDecodeFunc(func(e *replication.RowsEvent, data []byte) error {
		n, err := e.DecodeHeader(data)
		if err == nil {
			e.Rows = [][]any{{data[n:]}}
		}
		return err
	})
	p.SetTableMapOptionalMetaDecodeFunc(func([]byte) error { return nil })
	return p
}

func (a *assembler) begin(c *current) error {
	if a.cur != nil {
		return a.stop(StopError{Kind: StopDamaged, What: fmt.Sprintf("transaction %s begins inside another", c.gtid), Do: damaged})
	}
	c.pile = pile{dir: a.opts.SpillDir, most: a.opts.SpillBytes}
	a.cur = c
	return nil
}

func (a *assembler) beginMySQL(h replication.EventHeader, e *replication.GTIDEvent) error {
	c := &current{origin: h.ServerID, committed: a.newest}
	if us := e.OriginalCommitTimestamp; us > 0 {
		c.committed = time.UnixMicro(int64(us)).UTC()
	}
	if h.EventType != replication.ANONYMOUS_GTID_EVENT {
		u := fmt.Sprintf("%x", e.SID)
		c.gtid = u[:8] + "-" + u[8:12] + "-" + u[12:16] + "-" + u[16:20] + "-" + u[20:]
		if e.Tag != "" {
			c.gtid += ":" + e.Tag
		}
		c.gtid += fmt.Sprintf(":%d", e.GNO)
		c.mysql = c.gtid
	}
	return a.begin(c)
}

// commit ends the transaction at hand.
func (a *assembler) commit(h replication.EventHeader) (*Transaction, error) {
	c := a.cur
	if c == nil {
		return nil, a.stop(StopError{Kind: StopDamaged, What: "a transaction ends where none began", Do: damaged})
	}
	if a.flavor == value.MariaDB && h.Timestamp > 0 {
		c.committed = time.Unix(int64(h.Timestamp), 0).UTC()
	}
	end, err := a.after()
	if err != nil {
		return nil, err
	}
	p := &c.pile
	if err := p.done(); err != nil {
		return nil, err
	}
	if p.file != nil && a.tell != nil {
		a.tell(fmt.Sprintf("transaction %s has %d rows, %d MiB: they were put on disk", c.gtid, p.rows, p.size>>20))
	}
	a.cur, a.end, a.quiet = nil, end, false
	return &Transaction{GTID: c.gtid, Origin: c.origin, Committed: c.committed, End: end, Rows: p.rows, Bytes: p.bytes, Mark: c.mark,
		Changes: p.changes(a.tables), Close: p.close}, nil
}

const rowFormat = "find who sets binlog_format in a session, and stop it; do at the target what the statement did, and go on after it, or copy anew"

func (a *assembler) query(schema, text string, h replication.EventHeader) (*Transaction, error) {
	v := judge(text, schema, a.followed)
	if a.cur == nil {
		// Without GTIDs a transaction begins with BEGIN, and what stands alone is one.
		if err := a.begin(&current{origin: h.ServerID, committed: a.newest, alone: v != begin && v != xaStart}); err != nil {
			return nil, err
		}
	}
	if v == begin || v == xaStart {
		a.cur.begun = true
	} else if a.flavor == value.MySQL && !a.cur.begun && !strings.HasSuffix(text, "START TRANSACTION") {
		a.cur.alone = true // MariaDB's GTID event says so; of MySQL's statements without BEGIN only CREATE TABLE ... SELECT has rows behind it
	}
	switch v {
	case begin:
		return nil, nil
	case inside:
		return nil, a.savepoint(text)
	case commit:
		return a.commit(h)
	case rollback:
		if err := a.cur.rolledBack(); err != nil {
			return nil, err
		}
		return a.commit(h)
	case xaStart, xaEnd:
		a.cur.xa = xid(text)
		return nil, nil
	case xaRollback:
		delete(a.xa, xid(text))
		return a.commit(h)
	case xaCommit:
		if id := xid(text); !a.xa[id] {
			return nil, a.passable(StopError{Kind: StopXA, Statement: cut(text), What: "a transaction in two phases is committed whose rows came before what was read",
				Do: "copy anew, when XA RECOVER at the source shows nothing"})
		} else {
			delete(a.xa, id)
		}
		return a.commit(h)
	case definition:
		return nil, a.passable(StopError{Kind: StopDDL, Statement: cut(text), What: "a definition of a schema that is followed was changed",
			Do: "make the same change at the target and go on after it, or copy anew"})
	case truncate:
		return nil, a.passable(StopError{Kind: StopTruncate, Statement: cut(text), What: "a table that is followed was emptied, which logs no rows",
			Do: "empty it at the target too and go on after it, or copy anew"})
	case statement:
		return nil, a.passable(StopError{Kind: StopStatement, Statement: cut(sqltext.Anonymous(text)), What: "a session logs by statement (binlog_format isn't ROW there)", Do: rowFormat})
	case account:
		if a.tell != nil {
			first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
			a.tell(fmt.Sprintf("%s: a statement about accounts (%s ...) was passed over: accounts aren't followed", a.at(), strings.ToUpper(first)))
		}
	}
	if a.cur.alone {
		return a.commit(h)
	}
	return nil, nil
}

// xid is the identity in an XA statement, without blanks.
func xid(text string) string {
	ps := sqltext.Dense(sqltext.Cut(text))
	if len(ps) < 3 {
		return ""
	}
	var keep []sqltext.Piece
	for _, p := range ps[2:] {
		if p.Is("ONE") || p.Is("PHASE") {
			continue
		}
		keep = append(keep, p)
	}
	return strings.ToLower(sqltext.Join(keep))
}

// prepared ends the first phase.
func (a *assembler) prepared(h replication.EventHeader) (*Transaction, error) {
	if a.cur == nil {
		return nil, a.stop(StopError{Kind: StopDamaged, What: "a transaction in two phases is prepared where none began", Do: damaged})
	}
	if a.cur.pile.rows > 0 || a.cur.mark {
		return nil, a.stop(StopError{Kind: StopXA, What: fmt.Sprintf("a transaction in two phases (XA %s) changed %d rows that are followed: its end may come at any time, or be a rollback", a.cur.xa, a.cur.pile.rows),
			Do: "end the use of XA on these schemas, and copy anew when XA RECOVER at the source shows nothing"})
	}
	a.xa[a.cur.xa] = true
	return a.commit(h)
}

func (a *assembler) rows(h replication.EventHeader, e *replication.RowsEvent) error {
	if a.cur == nil {
		return a.stop(StopError{Kind: StopDamaged, What: "rows outside of a transaction", Do: damaged})
	}
	schema, name := string(e.Table.Schema), string(e.Table.Table)
	if schema == markSchema {
		a.cur.mark = true
		return nil
	}
	t := a.byName[schema+"\x00"+name]
	if t == nil {
		if slices.Contains(a.followed, schema) {
			return a.stop(StopError{Kind: StopTable, Object: "table " + schema + "." + name, What: "rows of a table that wasn't there when the copy was made, or that can't be followed",
				Do: "copy anew with the table, or without its schema"})
		}
		return nil
	}
	kind, ok := map[replication.EnumRowsEventType]Kind{replication.EnumRowsEventTypeInsert: Insert, replication.EnumRowsEventTypeUpdate: Update, replication.EnumRowsEventTypeDelete: Delete}[e.Type()]
	if !ok {
		return a.stop(StopError{Kind: StopEvent, Object: t.String(), What: "an event of rows that this program doesn't know"})
	}
	l, err := t.layoutFor(e.Table)
	if err == nil && e.ColumnCount != uint64(len(t.Columns)) {
		err = fmt.Errorf("rows of %d columns after a table map of %d", e.ColumnCount, len(t.Columns))
	}
	if err == nil {
		body := e.Rows[0][0].([]byte)
		if h.EventType >= replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1 {
			if body, err = inflate(body); err != nil {
				return a.stop(StopError{Kind: StopDamaged, Object: t.String(), What: err.Error(), Do: damaged})
			}
		}
		r := &a.pending
		*r = rowsReader{t: t, l: l, kind: kind, noKeys: e.Flags&flagNoForeignKeys != 0, before: e.ColumnBitmap1, after: e.ColumnBitmap2, scratch: r.scratch, rec: r.rec}
		err = r.read(body, a.cur.pile.put)
	}
	var p *problem
	switch {
	case errors.As(err, &p):
		return a.stop(StopError{Kind: p.kind, Object: t.String(), What: p.what, Do: p.fix})
	case errors.Is(err, ErrSpill):
		return fmt.Errorf("transaction %s: %w", a.cur.gtid, err)
	case err != nil:
		return a.stop(StopError{Kind: StopDamaged, Object: t.String(), What: err.Error(), Do: damaged})
	}
	return nil
}

// payload takes the events that binlog_transaction_compression put into one.
func (a *assembler) payload(raw []byte) (*Transaction, error) {
	bad := func(err error) error {
		return a.stop(StopError{Kind: StopDamaged, What: fmt.Sprintf("a compressed transaction: %v", err), Do: damaged})
	}
	body := raw[replication.EventHeaderSize:]
	if a.crc {
		body = body[:len(body)-4]
	}
	packed, err := payloadOf(body)
	if err != nil {
		return nil, bad(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<27))
	if err != nil {
		return nil, bad(err)
	}
	defer z.Close()
	var done *Transaction
	for {
		head := make([]byte, replication.EventHeaderSize)
		if _, err := io.ReadFull(z, head); err == io.EOF {
			return done, nil
		} else if err != nil {
			return nil, bad(err)
		}
		var h replication.EventHeader
		if err := h.Decode(head); err != nil || done != nil {
			return nil, bad(errors.Join(err, errors.New("an event where none may be")))
		}
		ev, err := fill(z, head, int(h.EventSize)-len(head))
		if err != nil {
			return nil, bad(err)
		}
		if done, err = a.one(a.inner, h, ev); err != nil {
			return nil, err
		}
	}
}
