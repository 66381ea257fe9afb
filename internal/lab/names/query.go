package names

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// queryTimeout bounds one question.
const queryTimeout = 3 * time.Second

// exchange sends one message over TCP, signed if sign is set.
func (s *Servers) exchange(ctx context.Context, server netip.Addr, m *dns.Msg, sign bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	conn, err := s.env.Network.DialContext(ctx, "tcp", netip.AddrPortFrom(server, 53).String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c := &dns.Client{Net: "tcp", Timeout: queryTimeout}
	if sign {
		c.TsigSecret = map[string]string{keyName + ".": s.secret}
		m.SetTsig(keyName+".", dns.HmacSHA256, 300, time.Now().Unix())
	}
	answer, _, err := c.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: conn, TsigSecret: c.TsigSecret})
	return answer, err
}

// query asks one question. An answer that is not NOERROR is an error.
func (s *Servers) query(ctx context.Context, server netip.Addr, name string, typ uint16, recurse bool) ([]dns.RR, error) {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), typ)
	m.RecursionDesired = recurse
	answer, err := s.exchange(ctx, server, m, false)
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s %s: %w", server, name, dns.TypeToString[typ], err)
	}
	if answer.Rcode != dns.RcodeSuccess {
		return nil, fmt.Errorf("ask %s for %s %s: %s", server, name, dns.TypeToString[typ], dns.RcodeToString[answer.Rcode])
	}
	return answer.Answer, nil
}

func (s *Servers) soa(ctx context.Context, server netip.Addr, zone string) (*dns.SOA, error) {
	list, err := s.query(ctx, server, zone, dns.TypeSOA, false)
	if err != nil {
		return nil, err
	}
	for _, rr := range list {
		if soa, ok := rr.(*dns.SOA); ok {
			return soa, nil
		}
	}
	return nil, fmt.Errorf("ask %s for the SOA of %s: no answer", server, zone)
}

// SOA is what the primary answers for a zone.
func (s *Servers) SOA(ctx context.Context, zone string) (*dns.SOA, error) {
	return s.soa(ctx, Primary, zone)
}

// Transfer reads a whole zone from the primary (AXFR): every record once, the SOA
// first, the rest in the order of name, type and data.
func (s *Servers) Transfer(ctx context.Context, zone string) ([]dns.RR, error) {
	return s.transfer(ctx, Primary, zone)
}

func (s *Servers) transfer(ctx context.Context, server netip.Addr, zone string) ([]dns.RR, error) {
	conn, err := s.env.Network.DialContext(ctx, "tcp", netip.AddrPortFrom(server, 53).String())
	if err != nil {
		return nil, fmt.Errorf("transfer zone %s: %w", zone, err)
	}
	defer conn.Close()
	secrets := map[string]string{keyName + ".": s.secret}
	t := &dns.Transfer{Conn: &dns.Conn{Conn: conn, TsigSecret: secrets}, TsigSecret: secrets, DialTimeout: queryTimeout, ReadTimeout: queryTimeout, WriteTimeout: queryTimeout}
	m := new(dns.Msg).SetAxfr(dns.Fqdn(zone))
	m.SetTsig(keyName+".", dns.HmacSHA256, 300, time.Now().Unix())
	parts, err := t.In(m, "")
	if err != nil {
		return nil, fmt.Errorf("transfer zone %s: %w", zone, err)
	}
	var list []dns.RR
	for part := range parts {
		if part.Error != nil {
			err = errors.Join(err, part.Error)
			continue
		}
		list = append(list, part.RR...)
	}
	if err != nil {
		return nil, fmt.Errorf("transfer zone %s: %w", zone, err)
	}
	if len(list) < 2 || list[0].Header().Rrtype != dns.TypeSOA || list[len(list)-1].Header().Rrtype != dns.TypeSOA {
		return nil, fmt.Errorf("transfer zone %s: not between two SOA records", zone)
	}
	rest := list[1 : len(list)-1]
	slices.SortFunc(rest, compare)
	return append(list[:1:1], rest...), nil
}

// compare orders records by name, type and data.
func compare(a, b dns.RR) int {
	if c := strings.Compare(a.Header().Name, b.Header().Name); c != 0 {
		return c
	}
	if c := int(a.Header().Rrtype) - int(b.Header().Rrtype); c != 0 {
		return c
	}
	return strings.Compare(data(a), data(b))
}

// data is a record's data in presentation form.
func data(rr dns.RR) string { return strings.TrimPrefix(rr.String(), rr.Header().String()) }
