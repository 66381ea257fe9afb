package shop

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// A Size says how much the seeder makes. The same size gives the same rows and the same files, byte for byte.
type Size struct {
	Seed  uint64
	Rows  int // over all tables, exactly
	Files int // names with content: files, hard links and symlinks; directories aren't counted
}

// DefaultSize is what a lab is filled with unless it is told otherwise: 200,000 rows and 20,000 files of 666 MB.
var DefaultSize = Size{Seed: 1, Rows: 200_000, Files: 20_000}

// The smallest size that has at least one of everything.
const (
	MinRows  = 5_000
	MinFiles = 200
)

// Check says what is wrong with the size, or nil.
func (s Size) Check() error {
	if s.Rows < MinRows || s.Files < MinFiles {
		return fmt.Errorf("a shop of %d rows and %d files is too small: at least %d rows and %d files", s.Rows, s.Files, MinRows, MinFiles)
	}
	return nil
}

// Products is how many products the size has, with ids from 1. Product 1 is always active and has a picture.
func (s Size) Products() int { return s.Rows / 50 }

// Customers is how many customers the size has, with ids from 1.
func (s Size) Customers() int { return s.Rows * 2 / 25 }

// Shoppers is how many of the customers can log in with Password: ids from 1.
func (s Size) Shoppers() int { return min(s.Customers(), 1000) }

// Password is the password of the customers who can log in; a lab's customers are nobody.
const Password = "shopper-in-the-lab"

// passwordHash is bcrypt of Password, made once: bcrypt salts by chance, and the seeder repeats itself exactly.
const passwordHash = "$2y$08$ihGskl07GGc.L9pm5lwDU.hL/rA9thuBB5rZ.On5VrM8WCSjUuxAa"

// Email is the address that customer id logs in with.
func Email(id int) string { return fmt.Sprintf("customer%d@mail.example", id) }

// hasThumbnail says whether a product's thumbnail is there from the start, in its row and among the files.
func (s Size) hasThumbnail(product int) bool { return product%10 != 0 && product <= s.Files/8 }

// active says whether a product is on sale.
func active(product int) bool { return product == 1 || product%20 > 1 }

// random gives the chance that belongs to one thing of one kind, whatever was made before it.
func (s Size) random(kind string, i int) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(kind))
	return rand.New(rand.NewPCG(s.Seed^h.Sum64(), uint64(i)+0x9e3779b97f4a7c15))
}
