package changes

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/slipway-dev/slipway/internal/dbcopy"
	"github.com/slipway-dev/slipway/internal/dbcopy/ask"
	"github.com/slipway-dev/slipway/internal/dbcopy/value"
	"github.com/slipway-dev/slipway/internal/secret"
)

// The library's BinlogSyncer isn't used: on reconnecting it kills the connection of its last one's number, which after a
// restart of the server is somebody else's; its retries repeat and lose events inside a transaction; its queue is bounded by
// events and not by bytes; it knows no tagged GTIDs. Its client and its parser are.

// heartbeat is how often a server that logs nothing says so. A connection that is silent for several is lost.
const (
	heartbeat   = time.Second
	silence     = 30 * time.Second
	dialTimeout = 20 * time.Second
)

// link is one connection that gives events.
type link struct {
	c  *client.Conn
	nc net.Conn
}

func (l *link) close() {
	if l != nil && l.nc != nil {
		l.nc.Close() // nothing was to be written; what was read and not delivered is read again
	}
}

// dump connects and asks for the log from a position on.
func dump(ctx context.Context, ep dbcopy.Endpoint, flavor value.Flavor, id uint32, from Position) (_ *link, err error) {
	l := &link{}
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			l.close()
			if ctx.Err() != nil {
				err = ctx.Err()
			}
		}
	}()
	dial := ep.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	l.c, err = client.ConnectWithDialer(dctx, "tcp", ep.Addr, ep.User, ep.Password.Reveal(), "", func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err == nil {
			l.nc = nc
			err = nc.SetDeadline(time.Now().Add(dialTimeout))
		}
		return nc, err
	}, func(c *client.Conn) error { c.SetTLSConfig(ep.TLS); return nil })
	if err != nil {
		return nil, explain(ep, err)
	}
	stop := context.AfterFunc(ctx, func() { l.nc.Close() })
	defer stop()
	// The heartbeat's period is in nanoseconds. The checksums are those of the log itself. A reader that is slow isn't cut off.
	stmts := []string{"SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum",
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %d", heartbeat, heartbeat),
		"SET SESSION net_write_timeout = 3600, SESSION net_read_timeout = 3600"}
	gtids := !from.MariaDB.IsZero() || !from.MySQL.IsZero()
	if flavor == value.MariaDB {
		stmts = append(stmts, "SET @mariadb_slave_capability = 4") // MARIA_SLAVE_CAPABILITY_GTID
		if gtids {
			stmts = append(stmts, "SET @slave_connect_state = '"+from.MariaDB.String()+"', @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0")
		}
	}
	for _, s := range stmts {
		if _, err := l.c.Execute(s); err != nil {
			return nil, explain(ep, fmt.Errorf("%s: %w", s, err))
		}
	}
	if err := l.register(id); err != nil {
		return nil, explain(ep, err)
	}
	l.c.ResetSequence()
	if err := l.c.WritePacket(request(flavor, id, from, gtids)); err != nil {
		return nil, explain(ep, err)
	}
	return l, nil
}

// register makes the reader show in SHOW REPLICA HOSTS.
func (l *link) register(id uint32) error {
	const host = "slipway"
	b := append(make([]byte, 4), mysql.COM_REGISTER_SLAVE)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = append(append(b, byte(len(host))), host...)
	b = append(b, make([]byte, 1+1+2+4+4)...) // user, password, port, rank, master: none
	l.c.ResetSequence()
	if err := l.c.WritePacket(b); err != nil {
		return err
	}
	_, err := l.c.ReadOKPacket()
	return err
}

// request is the command that asks for the log.
func request(flavor value.Flavor, id uint32, from Position, gtids bool) []byte {
	const annotated = 2 // BINLOG_SEND_ANNOTATE_ROWS_EVENT: so that sizes of events add up to places in the log
	b := make([]byte, 4)
	if flavor == value.MySQL && gtids {
		set := encodeSet(from.MySQL.String())
		b = append(b, mysql.COM_BINLOG_DUMP_GTID, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, id)
		b = binary.LittleEndian.AppendUint32(b, 0) // no file's name
		b = binary.LittleEndian.AppendUint64(b, 4)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(set)))
		return append(b, set...)
	}
	file, flags := from.File, uint16(0)
	if flavor == value.MariaDB {
		flags = annotated
		if gtids {
			file.Name, file.Offset = "", 4
		}
	}
	b = append(b, mysql.COM_BINLOG_DUMP)
	b = binary.LittleEndian.AppendUint32(b, uint32(max(4, file.Offset)))
	b = binary.LittleEndian.AppendUint16(b, flags)
	b = binary.LittleEndian.AppendUint32(b, id)
	return append(b, file.Name...)
}

// encodeSet writes a GTID set as MySQL's replicas send it (MySQL sql/rpl_gtid_set.cc, Gtid_set::encode): a number of origins, for each its
// UUID and its intervals, ends excluded. With tags, which 8.3 brought, the number has a format in its first and last byte, and
// each UUID is followed by its tag.
func encodeSet(text string) []byte {
	type origin struct {
		uuid, tag string
		in        [][2]uint64
	}
	var sets []origin
	tagged := false
	for _, part := range strings.Split(text, ",") {
		fields := strings.Split(part, ":")
		if len(fields) < 2 {
			continue
		}
		cur := origin{uuid: fields[0]}
		for _, f := range fields[1:] {
			a, b, _ := strings.Cut(f, "-")
			first, err := strconv.ParseUint(a, 10, 63)
			if err != nil { // a tag
				if len(cur.in) > 0 {
					sets = append(sets, cur)
				}
				cur, tagged = origin{uuid: fields[0], tag: f}, true
				continue
			}
			last, err := strconv.ParseUint(cmp.Or(b, a), 10, 63)
			if err != nil {
				continue // the text is of a parsed set: there is none such
			}
			cur.in = append(cur.in, [2]uint64{first, last + 1})
		}
		sets = append(sets, cur)
	}
	head := uint64(len(sets))
	if tagged {
		head = head<<8 | 1 | 1<<56
	}
	b := binary.LittleEndian.AppendUint64(nil, head)
	for _, s := range sets {
		id, _ := hex.DecodeString(strings.ReplaceAll(s.uuid, "-", ""))
		b = append(b, id...)
		if tagged {
			b = append(append(b, byte(len(s.tag)<<1)), s.tag...)
		}
		b = binary.LittleEndian.AppendUint64(b, uint64(len(s.in)))
		for _, iv := range s.in {
			b = binary.LittleEndian.AppendUint64(b, iv[0])
			b = binary.LittleEndian.AppendUint64(b, iv[1])
		}
	}
	return b
}

// event gives the next event's bytes, which are the caller's.
func (l *link) event(ctx context.Context) ([]byte, error) {
	if err := l.nc.SetDeadline(time.Now().Add(silence)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { l.nc.SetDeadline(time.Unix(1, 0)) })
	b, err := l.c.ReadPacket()
	if !stop() && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(b) == 0:
		return nil, errors.New("an empty packet")
	case b[0] == mysql.OK_HEADER:
		return b[1:], nil
	case b[0] == mysql.ERR_HEADER:
		return nil, l.c.HandleErrorPacket(b)
	}
	return nil, fmt.Errorf("the server ended its log's stream (%#x): %w", b[0], mysql.ErrBadConn)
}

// number is the server's error number, of either library.
func number(err error) uint16 {
	var my *mysql.MyError
	if errors.As(err, &my) {
		return my.Code
	}
	return ask.Number(err)
}

// lost: the connection broke, or the server goes down; another may do.
func lost(err error) bool {
	switch number(err) {
	case 0:
		return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
	case 1053, 1927, 1152, 1158, 1159, 1160, 1161, 1317, 4031, 1040, 3169: // shutdown, killed, aborted, packets, interrupted, idle, too many
		return true
	}
	return false
}

// explain says which server an error came from.
func explain(ep dbcopy.Endpoint, err error) error {
	switch number(err) {
	case 1045, 1698, 1862, 3118:
		err = fmt.Errorf("%w for user %s: %w", dbcopy.ErrLogin, ep.User, err)
	case 0:
		err = fmt.Errorf("%w: %w", dbcopy.ErrLost, err)
	}
	return fmt.Errorf("%s: %w", ep.Name, secret.Redact(err, ep.Password))
}

// reachable: COM_BINLOG_DUMP has four bytes for an offset.
func reachable(p Position) bool {
	return !p.MariaDB.IsZero() || !p.MySQL.IsZero() || p.File.Offset <= math.MaxUint32
}
