package shop

import (
	"math/rand/v2"
	"strings"
)

var (
	adjectives = []string{"Small", "Große", "Leichte", "Old", "Bright", "Handgemaakte", "Élégante", "Robuste", "Folding", "Waterproof", "Żółta", "Quiet", "Wooden", "Tall", "Синяя", "Everyday"}
	nouns      = []string{"Lampe", "chair", "tafel", "bicycle", "Tasse", "jacket", "lantaarn", "Überwurf", "kettle", "кружка", "backpack", "bottle", "スタンド", "mirror", "café-set", "clock"}
	materials  = []string{"oak", "steel", "wool", "Leder", "bamboo", "cotton", "verre", "linen"}
	colours    = []string{"red", "blauw", "grün", "noir", "weiß", "orange 🍊", "sky", "サクラ"}
	sentences  = []string{
		"Made to last and easy to mend.", "Wird in zwei Tagen geliefert.", "Het past overal bij.", "Un objet simple, bien fait.",
		"Works in the rain ☔ and in the sun ☀️.", "“Best thing I bought this year,” says our founder.", "日本で作られました。", "Не содержит пластика.",
		"Care: wipe with a damp cloth; don't machine-wash.", "Price in € includes everything.", "Größe und Gewicht können abweichen.",
		"Back\\slashes, 'quotes' and \"double quotes\" survive the order form.", "Line one.\nLine two.\tAfter a tab.", "👩‍👩‍👧‍👦 For the whole family.",
	}
	names   = []string{"Anna", "Jürgen", "Søren", "Zoë", "Noël", "Łukasz", "María", "Ольга", "Yūki", "Chloé", "Piet", "Fatima", "Bjørk", "Tomás"}
	surname = []string{"de Vries", "Müller", "Jansen", "O'Neill", "García", "Ångström", "Новак", "Dupont", "van den Berg", "Çelik", "Smith", "Nuñez"}
	streets = []string{"Kerkstraat", "Hauptstraße", "Rue de l'Église", "High Street", "Příkopy", "Calle Mayor", "Storgata"}
	cities  = []string{"Utrecht", "München", "Liège", "Køln", "Łódź", "A Coruña", "Zürich"}
	lands   = []string{"NL", "DE", "BE", "DK", "PL", "ES", "CH"}
	notes   = []string{"belt na 18 uur", "café créancier", "Straße, 2. Hof", "pays in £ and €", "ringt an der Tür", "señora Ibáñez"} // each fits latin1
	titles  = []string{"Very good", "Niet slecht 👍", "Schön, aber teuer", "Décevant 😞", "Perfect gift 🎁", "五つ星", "OK"}
	agents  = []string{"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0", "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Safari/605.1.15", "curl/7.88.1", ""}
)

func pick(r *rand.Rand, words []string) string { return words[r.IntN(len(words))] }

// prose is n sentences of several languages.
func prose(r *rand.Rand, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(pick(r, sentences))
	}
	return b.String()
}

// noise is n bytes of chance: every byte value, in no encoding.
func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

const orderLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// orderNumber has the form that the application gives its numbers.
func orderNumber(r *rand.Rand) string {
	b := []byte("S")
	for range 12 {
		b = append(b, orderLetters[r.IntN(len(orderLetters))])
	}
	return string(b)
}
