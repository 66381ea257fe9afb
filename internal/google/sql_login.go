package google

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/slipway-dev/slipway/internal/secret"
)

// ErrLogin: the server was reached and refuses the account or its password. Set the password anew.
var ErrLogin = errors.New("the server refuses the login")

// Login logs in to an instance over TLS, asks one question and leaves.
func (l SQLLooker) Login(ctx context.Context, inst Instance, user string, password secret.String) error {
	tc, err := inst.TLS()
	if err != nil {
		return err
	}
	conf := mysql.NewConfig()
	conf.User, conf.Passwd = user, password.Reveal()
	conf.Net, conf.Addr, conf.TLS = "tcp", net.JoinHostPort(inst.Address(), "3306"), tc
	conf.Timeout, conf.ReadTimeout, conf.WriteTimeout = 15*time.Second, 15*time.Second, 15*time.Second
	conf.Logger = &mysql.NopLogger{}
	c, err := mysql.NewConnector(conf)
	if err != nil {
		return fmt.Errorf("log in to instance %s as %s: %w", inst.Name, user, secret.Redact(err, password))
	}
	_, err = read(ctx, l.c, nil, "log in to instance "+inst.Name, func() (struct{}, error) {
		conn, err := c.Connect(ctx)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, conn.Close()
	})
	var refused *mysql.MySQLError
	if errors.As(err, &refused) && (refused.Number == 1045 || refused.Number == 1698) { // ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR
		return fmt.Errorf("log in to instance %s as %s: %w: %s", inst.Name, user, ErrLogin, refused.Message)
	}
	if err != nil {
		err = fmt.Errorf("log in to instance %s as %s at %s: %w; may this machine reach it (private network, authorized networks)", inst.Name, user, inst.Address(), secret.Redact(err, password))
	}
	return err
}
