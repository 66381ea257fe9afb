package shop

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// The parts of RabbitMQ's definitions file that the shop needs (https://www.rabbitmq.com/docs/definitions).
type (
	brokerDefinitions struct {
		Vhosts      []brokerVhost      `json:"vhosts"`
		Users       []brokerUser       `json:"users"`
		Permissions []brokerPermission `json:"permissions"`
		Queues      []brokerQueue      `json:"queues"`
	}
	brokerVhost struct {
		Name string `json:"name"`
	}
	brokerUser struct {
		Name    string   `json:"name"`
		Hash    string   `json:"password_hash"`
		Hashing string   `json:"hashing_algorithm"`
		Tags    []string `json:"tags"`
	}
	brokerPermission struct {
		User      string `json:"user"`
		Vhost     string `json:"vhost"`
		Configure string `json:"configure"`
		Write     string `json:"write"`
		Read      string `json:"read"`
	}
	brokerQueue struct {
		Name       string            `json:"name"`
		Vhost      string            `json:"vhost"`
		Durable    bool              `json:"durable"`
		AutoDelete bool              `json:"auto_delete"`
		Arguments  map[string]string `json:"arguments"`
	}
)

// QueueFiles configure RabbitMQ with the shop's vhost, account and queues.
func (s Site) QueueFiles() []File {
	return []File{
		{Path: "/etc/rabbitmq/rabbitmq.conf", Mode: 0o644, Body: render("rabbitmq.conf", s)},
		{Path: "/etc/rabbitmq/rabbitmq-env.conf", Mode: 0o644, Body: render("rabbitmq-env.conf", s)},
		{Path: "/etc/rabbitmq/definitions.json", Mode: 0o640, Owner: "root:rabbitmq", Body: definitions(s.Secrets.Queue)},
	}
}

// definitions must declare the queues as the application does (app/lib/Queue.php), or the broker refuses its own.
func definitions(password string) []byte {
	const all = ".*"
	body, err := json.MarshalIndent(brokerDefinitions{
		Vhosts:      []brokerVhost{{Name: "shop"}},
		Users:       []brokerUser{{Name: "shop", Hash: brokerHash(password), Hashing: "rabbit_password_hashing_sha256", Tags: []string{}}},
		Permissions: []brokerPermission{{User: "shop", Vhost: "shop", Configure: all, Write: all, Read: all}},
		Queues: []brokerQueue{
			{Name: "jobs.dead", Vhost: "shop", Durable: true, Arguments: map[string]string{}},
			{Name: "jobs", Vhost: "shop", Durable: true,
				Arguments: map[string]string{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "jobs.dead"}},
		},
	}, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("encode the broker's definitions: %v", err)) // plain strings always encode
	}
	return append(body, '\n')
}

// brokerHash is the password as RabbitMQ keeps it. The salt is made from the password, so that the file is the same
// each time.
func brokerHash(password string) string {
	salt := sha256.Sum256([]byte("salt of " + password))
	return brokerHashWith([4]byte(salt[:4]), password)
}

// brokerHashWith is base64 of a salt of 4 bytes and SHA-256 over salt and password
// (https://www.rabbitmq.com/docs/passwords).
func brokerHashWith(salt [4]byte, password string) string {
	sum := sha256.Sum256(append(salt[:], password...))
	return base64.StdEncoding.EncodeToString(append(salt[:], sum[:]...))
}
