//go:build lab

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/slipway-dev/slipway/internal/lab/dbpair"
	"github.com/slipway-dev/slipway/internal/lab/machine"
	"github.com/slipway-dev/slipway/internal/lab/rootfs"
)

var sysbenchLayer = rootfs.Layer{Name: "sysbench", Suite: rootfs.Bookworm, On: &rootfs.Base, Packages: []string{"sysbench"}}

// ledgerScript is oltp_read_write with one row more in each transaction, whose number is printed when its COMMIT was answered.
const ledgerScript = `require("oltp_common")
sysbench.cmdline.options.run = {"number of this run", 0}
function prepare_statements()
  prepare_begin() prepare_commit() prepare_point_selects()
  prepare_simple_ranges() prepare_sum_ranges() prepare_order_ranges() prepare_distinct_ranges()
  prepare_index_updates() prepare_non_index_updates() prepare_delete_inserts()
  count = 0
end
function event(id)
  count = count + 1
  local no = sysbench.opt.run .. "-" .. id .. "-" .. count
  begin()
  execute_point_selects() execute_simple_ranges() execute_sum_ranges() execute_order_ranges() execute_distinct_ranges()
  execute_index_updates() execute_non_index_updates() execute_delete_inserts()
  con:query("INSERT INTO ledger (no) VALUES ('" .. no .. "')")
  commit()
  io.write("answered " .. no .. "\n") io.flush()
end
`

// sysbench fills its tables at the source and runs, at whichever side lets it.
func (s *switched) sysbench(threads int) {
	s.Helper()
	tools, err := s.lab.Tools(s.ctx, "sysbench", sysbenchLayer)
	if err != nil {
		s.Fatal(err)
	}
	s.ledgers = []string{"SELECT no FROM sbtest.ledger"}
	s.do(s.maria, "CREATE TABLE sbtest.ledger (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, no VARCHAR(30) NOT NULL UNIQUE) ENGINE=InnoDB")
	var said bytes.Buffer
	if err := tools.Run(s.ctx, machine.Cmd{Argv: []string{"sh", "-c", "cat >/usr/share/sysbench/ledger.lua"}, Stdin: strings.NewReader(ledgerScript), Stderr: &said}); err != nil {
		s.Fatal(err, &said)
	}
	argv := func(side int, script string, more ...string) []string {
		_, port, err := net.SplitHostPort([]*dbpair.Server{s.maria, s.my}[side].Addr)
		if err != nil {
			s.Fatal(err)
		}
		return append([]string{"sysbench", "/usr/share/sysbench/" + script, "--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-port=" + port, "--mysql-user=" + shopAccount, "--mysql-password=" + dbpair.Password,
			"--mysql-db=sbtest", "--tables=3", "--table-size=5000"}, more...)
	}
	if err := tools.Run(s.ctx, machine.Cmd{Argv: argv(0, "oltp_read_write.lua", "prepare"), Stdout: &said, Stderr: &said}); err != nil {
		s.Fatal(err, &said)
	}
	s.lastAnswer = time.Now()
	s.writers.Go(func() {
		for n := 1; ; n++ {
			side := int(s.side.Load())
			r, w := io.Pipe()
			proc, err := tools.Start(s.ctx, machine.Cmd{Argv: argv(side, "ledger.lua", "--threads="+fmt.Sprint(threads), "--time=0", "--events=0", "--rate=150", "--db-ps-mode=disable", fmt.Sprintf("--run=%d", n), "run"), Stdout: w, Stderr: w})
			if err != nil {
				s.Error(err)
				return
			}
			over := make(chan struct{})
			go func() {
				select {
				case <-s.stop:
					_ = proc.Signal(syscall.SIGTERM) // it may have ended by itself
				case <-over:
				}
			}()
			go func() { _ = proc.Wait(); w.Close() }() // it ends with an error whenever a side shuts
			lines := bufio.NewScanner(r)
			for lines.Scan() {
				if no, ok := strings.CutPrefix(lines.Text(), "answered "); ok {
					s.answer(side, no)
				}
			}
			close(over)
			select {
			case <-s.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			s.side.Store(int32(1 - side))
		}
	})
}
