package sheet

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/text/encoding/htmlindex"
)

// TestGuessEncoding: what organisers type in one encoding and another, down to a
// single name, is read as what it is or refused by its name.
func TestGuessEncoding(t *testing.T) {
	for _, tt := range []struct{ encoding, text, want string }{
		{"windows-1252", "José", "iso-8859-1"},
		{"windows-1252", "Muñoz,Núñez,Añón", "iso-8859-1"},
		{"windows-1252", "MUÑOZ", "iso-8859-1"},
		{"windows-1252", "Ángel Íñigo Érika Óscar Úrsula", "iso-8859-1"},
		{"windows-1252", "São João,inscrição,observação", "iso-8859-1"},
		{"windows-1252", "Straße,Jürgen Groß,Österreich", "iso-8859-1"},
		{"windows-1252", "Prénom,Hélène,François", "iso-8859-1"},
		{"windows-1252", "Åsa Öberg,Förnamn", "iso-8859-1"},
		{"windows-1252", "¿Necesita intérprete?", "iso-8859-1"},
		{"windows-1252", "Nº de teléfono,Mª José", "iso-8859-1"},
		{"windows-1252", "Seán O’Neil", "windows-1252"},
		{"windows-1252", "don’t call before 5", "windows-1252"},
		{"windows-1252", "“María” – sí", "windows-1252"},
		{"windows-1252", "José,costs 5 €", "windows-1252"},
		{"windows-1252", "Cœur,Hélène", "windows-1252"},
		{"macintosh", "José", "macintosh"},
		{"macintosh", "María García", "macintosh"},
		{"macintosh", "Peña", "macintosh"},
		{"macintosh", "Muñoz,Núñez,Añón", "macintosh"},
		{"macintosh", "MUÑOZ,ÁNGEL", "macintosh"},
		{"macintosh", "Prénom,Hélène,François", "macintosh"},
		{"macintosh", "São João,inscrição", "macintosh"},
		{"macintosh", "Jürgen Groß", "macintosh"},
		{"macintosh", "Mädchen", "macintosh"},
		{"windows-1252", "Iñaki;Ensayo “Kiko”;Peñón;Jürgen;Muster – Šik", "windows-1252"},
		{"macintosh", "Teléfono,Dirección de correo electrónico", "macintosh"},
		{"windows-1250", "Miejscowość,Imię,Wałęsa", "!windows-1250"},
		{"windows-1251", "Имя,Фамилия,Телефон", "!windows-1251"},
		{"windows-1251", "Иван Петров", "!windows-1251"},
		{"koi8-r", "Имя,Фамилия,Телефон", "!koi8-r"},
		{"windows-1253", "Όνομα,Τηλέφωνο", "!windows-1253"},
		{"windows-1256", "الاسم,رقم الهاتف", "!windows-1256"},
		{"gbk", "姓名,电话,邮箱", "!gbk"},
		{"big5", "姓名,電話,電子信箱", "!big5"},
		{"shift_jis", "お名前,メールアドレス", "!shift_jis"},
		{"euc-kr", "이름,전화번호,이메일", "!euc-kr"},
	} {
		e, err := htmlindex.Get(tt.encoding)
		if err != nil {
			t.Fatal(err)
		}
		b, err := e.NewEncoder().Bytes([]byte(tt.text))
		if err != nil {
			t.Fatalf("%s: %v", tt.text, err)
		}
		got, err := guessEncoding(b, true)
		var other *errOtherEncoding
		if errors.As(err, &other) {
			got = "!" + other.msg
		}
		if want, refused := strings.CutPrefix(tt.want, "!"); got != tt.want && !(refused && strings.Contains(got, "--encoding "+want)) {
			t.Errorf("%s in %s: got %s, want %s", tt.text, tt.encoding, got, tt.want)
		}
	}
}
