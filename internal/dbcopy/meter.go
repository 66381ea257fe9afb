package dbcopy

import "sync/atomic"

// meter counts what several workers do and tells about it now and then.
type meter struct {
	rows, bytes           atomic.Int64
	told                  atomic.Int64
	totalRows, totalBytes int64
	tell                  func(Progress)
}

// tellEvery is how many bytes go by between two reports.
const tellEvery = 256 << 10

func (m *meter) init(totalRows, totalBytes int64, tell func(Progress)) {
	m.totalRows, m.totalBytes, m.tell = totalRows, totalBytes, tell
}

func (m *meter) add(doing string, rows, bytes int64) {
	m.rows.Add(rows)
	b := m.bytes.Add(bytes)
	if told := m.told.Load(); m.tell != nil && b-told >= tellEvery && m.told.CompareAndSwap(told, b) {
		m.report(doing)
	}
}

func (m *meter) report(doing string) {
	if m.tell == nil {
		return
	}
	p := Progress{Rows: m.rows.Load(), Bytes: m.bytes.Load(), Doing: doing}
	p.TotalRows, p.TotalBytes = max(p.Rows, m.totalRows), max(p.Bytes, m.totalBytes) // an estimate can be too low
	m.tell(p)
}
