package sheet_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// fateOf returns what becomes of a column with the given header in a list with
// every field: the field, or the slug of the reason for dropping it.
func fateOf(t *testing.T, header string) string {
	t.Helper()
	fields := append(sheet.Catalogue(), sheet.Question1)
	// The column beside it makes a sheet of any header.
	in := `"` + strings.ReplaceAll(header, `"`, `""`) + "\",Pronouns\n"
	s, err := sheet.Open(strings.NewReader(in), sheet.Options{Fields: fields, Questions: map[sheet.Field]string{sheet.Question1: "¿Can drive?"}})
	if err != nil {
		t.Fatalf("%q: %v", header, err)
	}
	for _, c := range s.Kept() {
		if c.Index == 0 {
			return string(c.Field)
		}
	}
	return s.Dropped()[0].Slug
}

// TestHeaders has the headers of HEADERS.md in English and Spanish, and those of
// the tools that write them.
func TestHeaders(t *testing.T) {
	for fate, headers := range map[string][]string{
		"given_name": {"First Name", "first", "firstname", "FNAME", "given_name", "First", "firstName", "Given Name", "given_name_at_signup",
			"Nombres", "Nombre/s", "Primer nombre", "First name *", "First Name (required)", "First name / Primer nombre", "First name / Nombre"},
		"family_name": {"Last Name", "Surname", "LNAME", "family_name", "last_name", "lastName", "Apellido", "Apellidos", "Apellido/s", "Last Name / Apellido"},
		"email": {"Email", "Email Address", "E-mail Address", "email_address", "EMAIL", "E-mail 1 - Value", "e-mail", "eMail", "Correo", "Correo electrónico",
			"Dirección de correo electrónico", "DIRECCIÓN DE CORREO ELECTRÓNICO", "E-Mail", "Email / Correo", "Correo / Email:", "What is your email address?", "Your email",
			"Ｅｍａｉｌ", "Email\u200b", "Email (we will not share it)", "email_at_signup", "Home-Email", "Primary Email", "Correo electro\u0301nico", "¿Cuál es su correo electrónico?",
			"Email (your employer never sees it)"},
		"phone": {"Phone", "Phone Number", "Mobile", "mobile_number", "cell", "Cell_Phone", "best_phone", "can2_phone", "Phone 1 - Value", "Teléfono", "Número de teléfono",
			"Celular", "Cel/Whatsapp", "Teléfono (WhatsApp)", "Phone / Teléfono", "Phone | Teléfono", "Phone (Teléfono)", "Tel.", "Phone #", "Phone:", "PHONE *", "What's your phone number?"},
		"postal_code": {"Zip", "ZIP code", "ZipOrPost", "primary_zip", "zip_code", "Home Zip", "postal_code_at_signup", "Código postal", "C.P.", "Zip / Código postal"},
		"city":        {"City", "Ciudad", "Home City", "can2_user_city", "primary_city", "City / Ciudad"},
		"language":    {"Language", "Lang.", "Preferred Language", "Idioma", "Idioma preferido", "Language / Idioma"},
		"name": {"Full Name", "Your full name", "Nombre completo", "Nombre y Apellido", "full_name", "Name", "Nombre", "Name / Nombre", "What's your name?", "Display Name",
			"¿Cuál es su nombre completo?", "Name (Nombre)", "NAME:"},
		"organisation": {"Organization", "organisation", "Organización", "Group / Grupo"},
		"q1":           {"Can drive?", "can DRIVE", "¿Can drive?"},
		"shareable":    {"OK to share?", "May we share your details with partners?", "Consent", "¿Podemos compartir sus datos?", "DO NOT share", "No compartir", "May we share your address with partner groups?"},
		"not-a-field":  {"uuid", "Timestamp", "Marca temporal", "can2_user_tags", "State", "OPTIN_TIME", "TAGS", "Order #"},
		"not-recognised": {"Interpreter needed?", "¿Necesita intérprete?", "Emergency contact phone", "Email of your representative", "Email / Phone", "Phone / Name",
			"Do you prefer email or phone?", "Is there a number we can call?", "Foo", "Tafadhali", strings.Repeat("Phone ", 300)},
		"refused-birth-date":         {"Date of Birth", "DOB", "Birthday", "Fecha de nacimiento", "Date of birth (MM/DD/YYYY)", "Age", "Edad", "Year of birth / Año de nacimiento"},
		"refused-immigration-status": {"Immigration status", "immigration_status", "Estatus migratorio", "What is your immigration status?", "Status (immigration)", "Visa type", "DACA?"},
		"refused-nationality":        {"Nationality", "Nacionalidad", "Country of origin", "País de origen", "Country of birth", "Citizenship"},
		"refused-identity-number": {"SSN", "Social Security Number", "A-Number", "A#", "Alien number (A#)", "What is your A-number?", "ITIN", "Passport No.", "Driver's license", "Número de seguro social", "Pasaporte",
			"Legal Identifier", "Phone / SSN"},
		"refused-ip-address":     {"OPTIN_IP", "CONFIRM_IP", "IP", "IP Address"},
		"refused-coordinates":    {"LATITUDE", "LONGITUDE", "lat", "Coordenadas"},
		"refused-employer":       {"Employer", "Place of work", "Empleador", "Lugar de trabajo"},
		"refused-health":         {"Health", "Medical conditions", "Allergies / Alergias", "Discapacidad"},
		"refused-religion":       {"Religion", "Religión", "Church", "Iglesia"},
		"refused-ethnicity":      {"Ethnicity", "Race", "Etnia", "Race/Ethnicity"},
		"refused-court-date":     {"Court date", "Next court date?", "Fecha de corte", "Audiencia"},
		"refused-signature":      {"Signature", "Firma", "Signature / Firma"},
		"refused-street-address": {"Address", "Street Address", "Home Address 1", "can2_user_address", "Dirección", "Domicilio", "primary_address1", "Mailing address", "Name / Address"},
		"refused-notes":          {"Notes", "Note(s)", "NOTES", "Comments", "Comentarios", "Notas", "Notes / Notas", "¿Algo más que debamos saber?", "Anything else we should know?", "Email / Notes"},
		"no-heading":             {"", " ", "\u200b"},
	} {
		for _, h := range headers {
			if got := fateOf(t, h); got != fate {
				t.Errorf("%q: got %s, want %s", h, got, fate)
			}
		}
	}
}

// TestHeadersOfLanguages has the headers of HEADERS.md, language by language, and
// others that people write.
func TestHeadersOfLanguages(t *testing.T) {
	for language, headers := range map[string]map[string][]string{
		"English": {
			"name":               {"Full Name", "Your full name", "First and last name", "Name (first and last)", "First Last", "First Name / Last Name", "First & Last Name", "Print name"},
			"name-or-given":      {"Name", "What's your name?", "What is your name? *", "Your name:", "NAME (required)", "1. Name", "Name (please print)", "Preferred name", "Please enter your name", "Name - please print clearly"},
			"name, family first": {"Last, First", "Last name, first name", "Last Name / First Name"},
			"given_name":         {"First Name", "first", "firstname", "FNAME", "given_name", "First", "Your first name", "Name (First)", "What is your first name?"},
			"family_name":        {"Last Name", "Surname", "LNAME", "family_name", "last_name", "Name (Last)", "Last name(s)"},
			"email": {"Email", "Email Address", "E-mail Address", "email_address", "EMAIL", "E-mail 1 - Value", "Email*", "Email (optional)", "What's the best email to reach you?", "How can we contact you by email?",
				"Your e-mail:", "Q2. Email", "Email 2", "email_2", "Secondary Email", "Email: we will never share it", "Email (if you have one)", "Contact (email)", "E-Mail Addresses"},
			"phone": {"Phone", "Phone Number", "Mobile", "mobile_number", "cell", "Cell_Phone", "best_phone", "can2_phone", "Phone 1 - Value", "Best number to reach you", "What is the best phone number to reach you at?",
				"Phone #", "Phone No.", "Tel.", "WhatsApp", "WhatsApp number", "Home Phone", "Work phone", "Phone 2", "Phone2", "Cell / Mobile", "Phone (cell)", "Phone (with area code)", "3) Phone number", "Number to text"},
			"postal_code":            {"Zip", "ZIP code", "ZipOrPost", "primary_zip", "zip_code", "What is your zip code?", "Zip Code*", "ZIP / Postal code", "What zip code do you live in?", "Postal Code"},
			"city":                   {"City", "City/Town", "What city do you live in?", "City or town", "City (where you live)", "Your city"},
			"language":               {"Language", "Preferred language", "Languages spoken", "What language do you speak?", "Which language(s) do you speak?", "Language preference", "What is your mother tongue?"},
			"pronouns":               {"Pronouns", "Preferred pronouns", "What are your pronouns?", "Pronouns (optional)"},
			"organisation":           {"Organization", "Organisation name", "Group / Organization", "Org.", "What organization are you with?", "Affiliation"},
			"postal-and-city":        {"ZIP/City", "City/ZIP", "City, State ZIP", "City, State, Zip Code", "City & Zip", "Zip and city", "City/State/Zip", "City St Zip", "City (ZIP)"},
			"area-code":              {"Area code", "area_code", "Phone area code"},
			"perhaps email or phone": {"Contact", "Contact info", "Contact Information", "How to reach you", "Best way to reach you", "What is the best way to reach you?", "Email or phone", "Phone/Email", "Email / Phone", "Handle", "How can we reach you?", "Phone number or email"},
			"perhaps phone":          {"Number", "Your number"},
			"perhaps email":          {"Mail"},
			"unneeded":               {"No", "#", "No.", "Date", "Middle Name", "Nickname", "How did you hear about us?", "Gender", "ID", "Row", "State"},
			"notes":                  {"Notes", "Note(s)", "Comments", "Comments/Questions", "Notes:"},
			"consent":                {"OK to share?", "Is it OK to share your info with partners?", "Do you consent to share this?"},
			"no-consent":             {"Do not share", "Please don't share my data"},
			"street-address":         {"Address, City, Zip", "Street", "Home address"},
		},
		"Spanish": {
			"name":                   {"Nombre completo", "Nombre y Apellido", "¿Cuál es su nombre completo?", "Nombre(s) y apellido(s)", "Nombre / Apellido", "Su nombre completo", "¿Cómo se llama?", "Nombre completo (obligatorio)"},
			"name-or-given":          {"Nombre", "¿Cuál es su nombre?", "Tu nombre:", "Name / Nombre", "Nombre / Name", "Por favor escriba su nombre"},
			"name, family first":     {"Apellido y nombre", "Apellidos y nombres", "Apellido, Nombre"},
			"given_name":             {"Nombre/s", "Nombres", "Nombre(s)", "Primer nombre", "First name / Nombre"},
			"family_name":            {"Apellido", "Apellidos", "Apellido/s", "Apellido(s)", "Su apellido", "¿Cuál es su apellido?"},
			"email":                  {"Correo", "Correo electrónico", "Dirección de correo electrónico", "E-Mail", "Su correo", "¿Cuál es su correo electrónico?", "Correo electronico *", "Correo (si tiene)", "Correo/Email", "Dirección de e-mail"},
			"phone":                  {"Teléfono", "Número de teléfono", "Celular", "Cel/Whatsapp", "Tel.", "Cel.", "Tfno", "Nº de teléfono", "N° de teléfono", "Núm. de teléfono", "Nro. de celular", "Su teléfono", "¿Cuál es su número de teléfono?", "WhatsApp", "Teléfono / Celular", "Número de WhatsApp", "Teléfono de contacto", "Tel/Cel"},
			"postal_code":            {"Código postal", "C.P.", "CP", "Zip / Código postal", "¿Cuál es su código postal?"},
			"city":                   {"Ciudad", "Municipio", "¿En qué ciudad vive?", "Ciudad de residencia"},
			"language":               {"Idioma", "¿Qué idioma habla?", "¿Qué idiomas hablas?", "Idioma preferido", "¿Cuál es su idioma preferido?", "Lengua materna"},
			"pronouns":               {"Pronombres", "¿Cuáles son sus pronombres?"},
			"organisation":           {"Organización", "Organización o grupo", "Nombre de la organización"},
			"postal-and-city":        {"Ciudad / Código postal", "Ciudad y código postal", "CP y ciudad", "Ciudad, Estado, CP", "Código postal / Ciudad", "City, zip / Ciudad, código postal"},
			"area-code":              {"Código de área", "Lada", "Clave lada", "Prefijo"},
			"perhaps email or phone": {"Contacto", "Datos de contacto", "Teléfono o correo", "¿Cómo podemos contactarle?"},
			"perhaps phone":          {"Número", "numero"},
			"notes":                  {"Comentarios", "Notas", "Observaciones"},
			"unneeded":               {"Marca temporal", "Fecha", "Estado", "Segundo nombre"},
			"consent":                {"¿Nos autoriza a compartir sus datos?"},
			"no-consent":             {"Por favor no compartir"},
		},
		"French": {
			"name":                   {"Nom ou Pseudo", "Nom complet", "Nom et prénom", "Prénom et nom", "Nom/Prénom", "Comment vous appelez-vous ?"},
			"name-or-family":         {"Nom", "Votre nom", "Quel est votre nom ?", "NOM *", "Nom / Name"},
			"given_name":             {"Prénom", "Votre prénom", "Prénom(s)", "Prénom / First name"},
			"family_name":            {"Nom de famille", "Nom / Last name", "Quel est votre nom de famille ?"},
			"email":                  {"Courriel", "Adresse courriel", "Adresse mail", "Adresse e-mail", "E-mail", "Quel est votre courriel ?", "Votre adresse e-mail", "Adresse électronique", "Courriel / Email"},
			"phone":                  {"Téléphone", "Numéro de téléphone", "Numéro de portable", "Tél.", "N° de téléphone", "Portable", "Votre numéro de téléphone", "Téléphone portable"},
			"perhaps phone":          {"Numéro"},
			"postal_code":            {"CP", "Code postal", "Quel est votre code postal ?"},
			"city":                   {"Ville", "Votre ville", "Commune"},
			"language":               {"Langue", "Quelle langue parlez-vous ?", "Langue parlée"},
			"notes":                  {"Commentaires", "Remarques"},
			"unneeded":               {"Horodateur"},
			"postal-and-city":        {"CP Ville", "Code postal et ville", "CP/Ville", "Ville (code postal)"},
			"area-code":              {"Indicatif"},
			"perhaps email or phone": {"Coordonnées", "Comment vous joindre ?"},
			"birth-date":             {"Date de naissance", "Âge"},
			"immigration-status":     {"Statut d'immigration", "Titre de séjour"},
			"identity-number":        {"Numéro de passeport", "Pièce d'identité"},
			"street-address":         {"Adresse", "Adresse postale"},
			"nationality":            {"Nationalité", "Pays d'origine"},
		},
		"Haitian Creole": {
			"name":          {"Non Konplè"},
			"name-or-given": {"Non", "Non ou"},
			"family_name":   {"Siyati"},
			"email":         {"Imèl", "Adrès Imèl"},
			"phone":         {"Nimewo telefòn", "Telefòn", "Nimewo telefòn ou"},
			"language":      {"Ki lang ou pale?", "Lang Yo Prefere"},
			"city":          {"Vil"},
			"birth-date":    {"Dat nesans"},
		},
		"Chinese, simplified": {
			"name, family first":          {"姓名", "您的姓名", "姓 名", "姓名：", "姓名（必填）", "姓名 Name", "Name 姓名", "Name / 姓名", "请输入您的姓名"},
			"name-or-given, family first": {"名字"},
			"given_name, family first":    {"名", "名 / First name"},
			"family_name, family first":   {"姓", "姓氏", "姓 / Last name"},
			"email":                       {"邮箱", "电子邮件", "电子邮件地址", "电邮地址", "您的邮箱", "Email 电子邮件", "电子邮箱"},
			"phone":                       {"电话", "电话号码", "手机", "手机号码", "Phone 电话", "联系电话", "电话（手机）"},
			"notes":                       {"备注", "备注信息"},
			"city":                        {"城市", "City 城市"},
			"employer":                    {"单位", "工作单位"},
			"language":                    {"语言", "您说什么语言？"},
			"postal_code":                 {"邮编"},
			"area-code":                   {"区号"},
			"perhaps email or phone":      {"联系方式"},
			"birth-date":                  {"出生日期", "您的出生日期", "生日", "年龄"},
			"immigration-status":          {"移民身份", "签证类型"},
			"identity-number":             {"身份证号", "护照号码"},
			"nationality":                 {"国籍"},
			"street-address":              {"地址", "家庭住址", "邮寄地址"},
			"unneeded":                    {"序号", "日期", "性别"},
		},
		"Chinese, traditional": {
			"name, family first":        {"姓名", "顧客姓名", "您的姓名"},
			"given_name, family first":  {"名"},
			"family_name, family first": {"姓氏"},
			"email":                     {"電子信箱", "EMAIL", "電子郵件", "電郵地址", "Email 電郵"},
			"phone":                     {"電話", "電話號碼", "手機", "聯絡電話"},
			"notes":                     {"備註"},
			"street-address":            {"地址", "通訊地址"},
			"unneeded":                  {"時間戳記"},
		},
		"Arabic": {
			"name-or-given":  {"الاسم", "الاسم:", "Name / الاسم"},
			"name":           {"الاسم الكامل"},
			"given_name":     {"الاسم الأول"},
			"family_name":    {"اللقب", "الكنية", "الاسم الثاني", "اسم العائلة"},
			"email":          {"البريد الإلكتروني", "بريد إلكتروني", "البريد الالكتروني", "عنوان البريد الإلكتروني"},
			"phone":          {"رقم الهاتف", "رقم الجوال"},
			"street-address": {"العنوان"},
			"city":           {"المدينة"},
			"notes":          {"تعليقات", "ملاحظات"},
			"unneeded":       {"م", "تاريخ "},
			"nationality":    {"الجنسية"},
			"birth-date":     {"تاريخ الميلاد"},
			"language":       {"اللغة", "اللغة الأم"},
		},
		"Portuguese": {
			"name-or-given": {"Nome", "Seu nome", "Qual é o seu nome?"},
			"name":          {"Nome completo", "Nome e sobrenome", "Qual é o seu nome completo?"},
			"given_name":    {"Primeiro nome"},
			"family_name":   {"Sobrenome", "Último nome"},
			"email":         {"E-mail", "Endereço de E-mail", "Email", "Seu e-mail"},
			"phone":         {"Telefone", "Celular", "Número de telefone", "Telemóvel"},
			"city":          {"Cidade"},
			"postal_code":   {"CEP"},
			"area-code":     {"DDD"},
			"notes":         {"Comentários"},
			"language":      {"Idioma"},
			"unneeded":      {"Carimbo de data/hora"},
			"birth-date":    {"Data de nascimento", "Idade"},
		},
		"Russian": {
			"name, family first": {"ФИО", "Ф.И.О.", "Фамилия, имя, отчество", "ФИО *"},
			"name-or-given":      {"Имя", "Ваше имя", "Имя / Name"},
			"family_name":        {"Фамилия"},
			"email":              {"Эл. почта", "Адрес эл. почты", "E-mail", "Адрес электронной почты"},
			"phone":              {"Телефон", "Номер телефона", "Моб. телефон"},
			"city":               {"Город"},
			"notes":              {"Комментарий"},
			"birth-date":         {"Дата рождения"},
			"street-address":     {"Адрес"},
			"nationality":        {"Гражданство"},
			"unneeded":           {"Отметка времени", "№"},
		},
		"Korean": {
			"name-or-given, family first": {"이름", "귀하의 이름", "이름 / Name"},
			"name, family first":          {"성명", "성함"},
			"family_name, family first":   {"성"},
			"email":                       {"이메일", "이메일 주소", "이메일주소"},
			"phone":                       {"전화번호", "전화 번호", "휴대폰"},
			"city":                        {"도시"},
			"language":                    {"언어"},
			"birth-date":                  {"생년월일", "생년월일을 입력하세요"},
			"street-address":              {"주소"},
		},
		"Vietnamese": {
			"name, family first":          {"Họ và tên", "Họ tên", "Họ và tên của bạn"},
			"name-or-given, family first": {"Tên"},
			"family_name, family first":   {"Họ"},
			"email":                       {"Email", "Địa chỉ email"},
			"phone":                       {"Số điện thoại", "SĐT", "Số điện thoại của bạn"},
			"unneeded":                    {"STT"},
			"notes":                       {"Ghi chú"},
			"street-address":              {"Địa chỉ"},
			"birth-date":                  {"Ngày sinh"},
		},
		"Bengali": {
			"name-or-given":  {"নাম", "আপনার নাম", "Name / নাম"},
			"given_name":     {"নামের প্রথম অংশ"},
			"family_name":    {"পদবি", "নামের শেষাংশ"},
			"email":          {"ইমেইল", "ইমেইল ঠিকানা"},
			"phone":          {"মোবাইল", "মোবাইল নম্বর", "ফোন নাম্বার"},
			"unneeded":       {"ক্রমিক"},
			"street-address": {"ঠিকানা"},
		},
		"Urdu": {
			"name-or-given": {"نام"},
			"given_name":    {"پہلا نام"},
			"family_name":   {"خاندانی نام", "آخری نام"},
			"email":         {"ای میل"},
			"phone":         {"فون نمبر"},
			"city":          {"شہر"},
			"language":      {"زبان"},
		},
		"Persian": {
			"name-or-given": {"نام"},
			"name":          {"نام و نام خانوادگی"},
			"family_name":   {"نام خانوادگی", "نام\u200cخانوادگی"},
			"email":         {"ایمیل", "نشانی ایمیل", "ايميل"},
			"phone":         {"شماره\u200cتلفن", "شماره تلفن"},
			"city":          {"شهر"},
			"language":      {"زبان"},
			"birth-date":    {"تاریخ تولد"},
		},
		"Amharic": {
			"name-or-given":  {"ስም", "ስም ", "የእርስዎ ስም"},
			"given_name":     {"የራሶት ስም"},
			"family_name":    {"የአባት ስም"},
			"email":          {"ኢሜል", "ኢሜይል", "የኢሜል አድራሻ"},
			"phone":          {"ስልክ ቁጥር"},
			"city":           {"ከተማ"},
			"language":       {"ቋንቋ"},
			"street-address": {"አድራሻ"},
		},
		"Swahili": {
			"name-or-given":  {"Jina", "Jina lako"},
			"given_name":     {"Jina la kwanza"},
			"family_name":    {"Jina la ukoo"},
			"email":          {"Barua pepe", "Anwani ya barua pepe"},
			"phone":          {"Namba ya simu", "Nambari ya simu"},
			"city":           {"Jiji"},
			"language":       {"Lugha"},
			"street-address": {"Anwani"},
		},
		"Polish": {
			"name":           {"Imię i nazwisko", "Imię i nazwisko ", "Twoje imię i nazwisko"},
			"given_name":     {"Imię", "Imię / First name"},
			"family_name":    {"Nazwisko"},
			"email":          {"Adres email", "Adres e-mail", "E-mail"},
			"phone":          {"Telefon", "Numer telefonu", "Nr telefonu"},
			"city":           {"Miejscowość"},
			"street-address": {"Adres"},
			"notes":          {"Uwagi"},
		},
		"Italian": {
			"name-or-given": {"Nome"},
			"name":          {"Nome e cognome"},
			"family_name":   {"Cognome"},
			"email":         {"Indirizzo email", "Indirizzo e-mail"},
			"phone":         {"Numero di telefono", "Cellulare"},
			"postal_code":   {"CAP"},
			"city":          {"Luogo", "Città"},
			"notes":         {"Note", "Commenti"},
		},
		"German": {
			"name-or-given":           {"Name", "Wie ist Ihr Name?"},
			"name":                    {"Vor- und Nachname", "Vollständiger Name", "Vorname/Nachname"},
			"name, family first":      {"Name, Vorname", "Nachname, Vorname"},
			"given_name, beside name": {"Vorname", "Vorname / First name", "Vorname*"},
			"family_name":             {"Nachname", "Familienname"},
			"email":                   {"E-Mail", "E-Mail-Adresse", "E-Mail-Adresse 2"},
			"phone":                   {"Telefon", "Telefonnummer", "Handy", "Mobiltelefon", "Telefon privat"},
			"area-code":               {"Vorwahl", "Vorwahl_Tel"},
			"postal_code":             {"PLZ", "Postleitzahl"},
			"city":                    {"Ort", "Wohnort"},
			"postal-and-city":         {"PLZ/Ort Kombination", "PLZ/Ort", "PLZ Ort", "PLZ, Ort", "Ort (PLZ)"},
			"notes":                   {"Bemerkung", "Notizen"},
			"birth-date":              {"Geburtsdatum", "Geburtstag"},
			"street-address":          {"Straße privat", "Adresse"},
			"identity-number":         {"Regierungs-Nr."},
			"unneeded":                {"Anrede", "Weitere Vornamen", "Fax privat", "Ort geschäftlich"},
		},
		"Swedish": {
			"name-or-given":  {"Namn"},
			"given_name":     {"Förnamn"},
			"family_name":    {"Efternamn"},
			"email":          {"E-post", "E-postadress"},
			"phone":          {"Mobil", "Mobilnummer", "Telefon"},
			"street-address": {"Adress", "Postadress"},
			"postal_code":    {"Postnummer"},
		},
		"others": {
			"name-or-given":             {"नाम", "ਨਾਮ", "Ім'я", "Pangalan", "Magaca"},
			"name, family first":        {"氏名", "お名前", "ПІБ"},
			"family_name, family first": {"姓"},
			"family_name":               {"Прізвище", "Apelyido"},
			"email":                     {"メールアドレス", "ईमेल", "ई-मेल पता", "Електронна пошта"},
			"phone":                     {"電話番号", "फ़ोन नंबर", "मोबाइल नंबर", "ਫ਼ੋਨ ਨੰਬਰ", "Numero ng telepono"},
			"street-address":            {"住所"},
		},
	} {
		for want, list := range headers {
			for _, h := range list {
				if got := sheet.MeaningOf(h); got != want {
					t.Errorf("%s %q: got %s, want %s", language, h, got, want)
				}
			}
		}
	}
}

// TestHeadersOfTools has what the tools of HEADERS.md export.
func TestHeadersOfTools(t *testing.T) {
	for tool, headers := range map[string]map[string]string{
		"Action Network": {
			"given_name": "first_name", "family_name": "last_name", "email": "email", "postal_code": "zip_code", "phone": "Phone|Phone Number|can2_phone", "city": "can2_user_city", "street-address": "can2_user_address",
			"unneeded": "uuid|can2_user_state|can2_state_abbreviated|can2_county|County|can2_user_tags|can2_subscription_status|can2_sms_status|can2_subscription_date",
		},
		"Mailchimp": {
			"email": "Email Address", "given_name": "First Name", "family_name": "Last Name", "phone": "Phone Number", "street-address": "Address", "notes": "NOTES", "ip-address": "OPTIN_IP|CONFIRM_IP", "coordinates": "LATITUDE|LONGITUDE",
			"unneeded": "MEMBER_RATING|OPTIN_TIME|CONFIRM_TIME|GMTOFF|DSTOFF|TIMEZONE|CC|REGION|LAST_CHANGED|LEID|EUID|TAGS|UNSUB_TIME|UNSUB_CAMPAIGN_TITLE|UNSUB_CAMPAIGN_ID|UNSUB_REASON|UNSUB_REASON_OTHER",
		},
		"Eventbrite": {
			"given_name": "First Name", "family_name": "Last Name|Surname", "email": "Email", "street-address": "Home Address 1|Home Address 2", "city": "Home City", "postal_code": "Home Zip", "organisation": "Group",
			"unneeded": "Order #|Order Date|Quantity|Price Tier|Ticket Type|Attendee #|Order Type|Currency|Total Paid|Fees Paid|Eventbrite Fees|Eventbrite Payment Processing|Attendee Status|Home State|Home Country|Date|QTY|Date Attending|Amount (USD)|Fees Paid (USD)",
			"unknown":  "Buyer Email|Buyer First Name",
		},
		"CiviCRM": {
			"given_name": "First Name", "family_name": "Last Name", "email": "Home-Email", "phone": "Home-Phone-Phone", "language": "Preferred Language", "name": "Display Name", "identity-number": "Legal Identifier", "notes": "Note(s)", "no-consent": "Do Not Trade",
			"unneeded": "Contact ID|Contact Type|Contact Subtype|Middle Name|Nickname|Sort Name|Individual Prefix|Individual Suffix|Do Not Email|Do Not Phone|Do Not Mail|Do Not Sms|No Bulk Emails (User Opt Out)|External Identifier|Contact Source|Home-Country|Internal Contact ID|Gender",
		},
		"NationBuilder": {
			"given_name": "first_name", "family_name": "last_name", "email": "email", "phone": "mobile_number", "street-address": "primary_address1|primary_address2", "city": "primary_city", "postal_code": "primary_zip",
			"unneeded": "nationbuilder_id|tag_list|civicrm_id|van_id|ngp_id|external_id|facebook_username",
		},
		"Mobilize": {
			"given_name": "given_name_at_signup", "family_name": "family_name_at_signup", "email": "email_at_signup", "phone": "phone_number_at_signup", "postal_code": "postal_code_at_signup",
			"unneeded": "status|attended|timeslot_id|utc_start_date|custom_field_values", "unknown": "foo_bar",
		},
		"Google Forms": {
			"unneeded": "Timestamp|Marca temporal|Horodateur|Carimbo de data/hora", "email": "Email Address|Dirección de correo electrónico|Adresse e-mail", "name": "Nom ou Pseudo|Nombre y Apellido",
		},
		"Google Contacts": {
			"given_name": "Given Name|First Name", "family_name": "Family Name|Last Name", "email": "E-mail 1 - Value|E-mail 2 - Value", "phone": "Phone 1 - Value|Phone 3 - Value", "postal_code": "Address 1 - Postal Code", "city": "Address 1 - City",
			"organisation": "Organization 1 - Name|Organization Name", "birth-date": "Birthday", "notes": "Notes", "street-address": "Address 1 - Street|Address 1 - Formatted|Address 1 - PO Box|Address 1 - Extended Address", "employer": "Organization 1 - Title|Organization Title|Occupation",
			"name-or-given": "Name", "signature": "Initials",
			"unneeded": "E-mail 1 - Type|E-mail 1 - Label|Phone 1 - Type|Phone 2 - Label|Additional Name|Middle Name|Phonetic First Name|Name Prefix|Name Suffix|Nickname|File As|Labels|Photo|Address 1 - Label|Address 1 - Region|Address 1 - Country|Website 1 - Value|Relation 1 - Value|Group Membership|Given Name Yomi|Maiden Name",
		},
		"Outlook": {
			"given_name": "First Name", "family_name": "Last Name", "email": "E-mail Address|E-mail 2 Address", "phone": "Mobile Phone|Home Phone|Business Phone|Primary Phone|Other Phone|Home Phone 2", "postal_code": "Home Postal Code", "city": "Home City", "employer": "Company|Job Title|Department|Profession",
			"birth-date": "Birthday", "identity-number": "Government ID Number", "street-address": "Home Street|Business Street|Home Address PO Box", "notes": "Notes", "language": "Language",
			"unneeded": "Title|Middle Name|Suffix|Company Main Phone|Business Postal Code|Business City|Home Country/Region|E-mail Type|E-mail Display Name|Anniversary|Gender|Home Fax|Categories|Web Page|User 1",
			"unknown":  "Assistant's Name|Assistant's Phone|Manager's Name|Spouse|Children|Referred By",
		},
		"Outlook, German": {
			"given_name, beside name": "Vorname", "family_name": "Nachname", "email": "E-Mail-Adresse", "phone": "Mobiltelefon|Telefon privat|Telefon geschäftlich|Haupttelefon", "postal_code": "Postleitzahl privat", "city": "Ort privat", "birth-date": "Geburtstag", "notes": "Notizen", "language": "Sprache", "identity-number": "Regierungs-Nr.",
			"street-address": "Straße privat|Straße geschäftlich", "unneeded": "Anrede|Weitere Vornamen|Suffix|Telefon Firma|Telefon Assistent|Ort geschäftlich|E-Mail-Typ|E-Mail: Angezeigter Name|Kategorien|Land/Region privat", "unknown": "Name Assistent|Partner|Kinder",
		},
		"Spoke":             {"given_name": "firstName", "family_name": "lastName", "phone": "cell|Cell_Phone", "postal_code": "zip|ZipOrPost"},
		"Keila":             {"email": "Email", "given_name": "First name", "family_name": "Last name", "unneeded": "Data|Status|External ID"},
		"Thunderbird":       {"given_name": "First Name", "family_name": "Last Name", "name": "Display Name", "email": "Primary Email|Secondary Email", "phone": "Mobile Number|Home Phone|Work Phone", "city": "Home City", "postal_code": "Home ZipCode", "street-address": "Home Address|Work Address 2", "organisation": "Organization", "birth-date": "Birth Year|Birth Month|Birth Day", "employer": "Job Title|Department", "unneeded": "Nickname|Screen Name|Fax Number|Pager Number|Home State|Work City|Work ZipCode|Web Page 1|Custom 1"},
		"Luma":              {"name-or-given": "name", "given_name": "first_name", "family_name": "last_name", "email": "email", "phone": "phone_number", "unneeded": "api_id|created_at|approval_status|checked_in_at|custom_source|qr_code_url|amount|currency|coupon_code|eth_address|solana_address|ticket_type_id|ticket_name"},
		"Facebook Lead Ads": {"name": "full_name", "email": "email", "phone": "phone_number", "unneeded": "id|created_time|ad_id|ad_name|adset_id|adset_name|campaign_id|campaign_name|form_id|form_name|is_organic|platform|lead_status"},
		"LinkedIn":          {"given_name": "First Name", "family_name": "Last Name", "email": "Email Address", "employer": "Company|Position", "unneeded": "Connected On|URL"},
		"Typeform":          {"unneeded": "#|Response Type|Start Date (UTC)|Stage Date (UTC)|Submit Date (UTC)|Network ID|Tags|Ending", "name-or-given": "What's your name?", "email": "What's your email address?"},
	} {
		for want, list := range headers {
			for h := range strings.SplitSeq(list, "|") {
				if got := sheet.MeaningOf(h); got != want {
					t.Errorf("%s %q: got %s, want %s", tool, h, got, want)
				}
			}
		}
	}
}

// TestHeadersOfOthers: a column about another person, or a question that only
// speaks of a field, is never the person's own name, address or number.
func TestHeadersOfOthers(t *testing.T) {
	for _, h := range []string{
		"Emergency contact", "Emergency contact phone", "Emergency Contact Name", "Emergency contact (phone)", "Phone (emergency contact)", "Emergency contact: phone", "Emergency contact / Phone", "Emergency contact - Name",
		"Parent name", "Parent/Guardian Name", "Parent / Guardian phone", "Guardian's email", "Mother's phone", "Father's Name", "Phone (parent)", "Name of spouse", "Spouse's phone number", "Wife's name",
		"Who referred you?", "Who referred you? (name)", "Referred by (name)", "Invited by", "Name of the person who invited you", "Friend's email", "Will you bring a friend? (name)", "Lawyer's phone", "Attorney name", "Lawyer (phone)",
		"Email of your representative", "Legal representative", "Caseworker phone", "Boss's name", "Phone of employer's office", "Landlord phone", "Doctor's name", "Guest 1 name", "Plus one name", "Buyer Email", "Name of child", "Child's name", "Kids' names",
		"Next of kin phone", "Contact person phone", "Supervisor email", "Sponsor's name", "Email (of your lawyer)", "Organizer name", "Entered by (email)", "Roommate phone", "Alternate contact phone",
		"Contacto de emergencia", "Teléfono de emergencia", "Teléfono (contacto de emergencia)", "Nombre de la madre", "Nombre del padre", "Teléfono de su abogado", "Abogado / Teléfono", "Correo del representante", "Nombre del tutor", "Nombre de su esposo",
		"¿Quién lo refirió?", "¿Quién te invitó? (nombre)", "Referido por", "Nombre de sus hijos", "Nombre de un familiar", "Teléfono de un familiar", "Teléfono del patrón", "Nombre del jefe", "Invitado por",
		"Contact d'urgence", "Téléphone (contact d'urgence)", "Nom du parent", "Avocat (téléphone)", "紧急联系人电话", "緊急聯絡人姓名", "律师电话", "家長姓名", "推荐人姓名", "비상 연락처", "보호자 이름", "Имя адвоката", "Телефон родителя", "اسم الأب", "رقم هاتف الطوارئ", "نام پدر", "والد کا نام",
		"পিতার নাম", "Notfallkontakt Telefon", "Telefon (Notfall)", "Telefone de emergência", "Nome da mãe", "Contatto di emergenza", "Tên phụ huynh", "Jina la baba", "Imię ojca", "Förälders namn",
		// Not about the person, or no heading at all.
		"Do you have an email from us?", "Did you get our email?", "Do you prefer email or phone?", "Is there a number we can call?", "Have you changed your name?", "Who has your phone?", "Do you have a phone?", "May we call you?", "Email list 2026", "Email list",
		"Name of event", "Pet (name)", "Ticket - Name", "School (name)", "Event: Name", "Name - Title", "Company - Name of", "Phone / Name", "Name / Email", "Email (name)", "Guest - Email", "Dog's name", "Street name or zip", "Team name", "Team (city)",
		"Language of the flyer", "Which city should we march in?", "Sign up for our email list", "Phone bank shift", "Text bank", "City council district", "Zip tie count", "Interpreter language", "Name 2", "Names of people with you", "¿Le llegó nuestro correo?",
		"¿Conoce el número de la línea directa?", "¿Su teléfono tiene cámara?", "Nombre de la escuela", "Nombre del evento / Teléfono",
	} {
		if got := sheet.MeaningOf(h); got != "unknown" && got != "unneeded" && !refusedSlug(got) {
			t.Errorf("%q: got %s, want it not read", h, got)
		}
	}
	// The same words, where they do no harm.
	for h, want := range map[string]string{
		"Email (your employer never sees it)": "email", "Email (we will not share it)": "email", "Mobile (not the number of your work)": "phone", "Lengua materna": "language", "Langue maternelle": "language", "Phone (employer)": "employer",
		"City (address)": "street-address", "Father's date of birth": "birth-date", "Spouse's immigration status": "immigration-status", "What city were you born in?": "birth-date", "¿Dónde nació?": "birth-date", "What country are you from?": "nationality", "Your A number": "identity-number", "Email / Notes": "notes",
	} {
		if got := sheet.MeaningOf(h); got != want {
			t.Errorf("%q: got %s, want %s", h, got, want)
		}
	}
}

func refusedSlug(s string) bool {
	_, _, ok := sheet.Refused(map[string]string{"birth-date": "dob", "immigration-status": "visa", "nationality": "nationality", "identity-number": "ssn", "ip-address": "ip", "coordinates": "gps", "employer": "employer", "health": "health",
		"religion": "religion", "ethnicity": "race", "court-date": "court date", "signature": "signature", "street-address": "address", "notes": "notes"}[s])
	return ok
}

// TestQuestionsOfListsAreNotRefused: no phrase of one language is an everyday
// word of another.
func TestQuestionsOfListsAreNotRefused(t *testing.T) {
	for _, q := range []string{"Can drive?", "Can you coordinate rides?", "Speaks Spanish?", "Needs an interpreter?", "18 or older?", "Can host people?", "Will bring food?", "Not able to come?", "Has a car?", "Can alter costumes?", "ETA before noon?",
		"¿Puede manejar?", "¿Necesita intérprete?", "¿Ha visto el mapa?", "¿Tiene gato?", "¿Puede traer comida?", "Peut conduire ?", "Kann fahren?", "Può guidare?", "Pode dirigir?", "会开车吗？", "Умеет водить?", "هل يقود السيارة؟", "Kan köra bil?"} {
		if reason, _, refused := sheet.Refused(q); refused {
			t.Errorf("%q is refused: %s", q, reason)
		}
	}
}

// TestNamesAndTheirParts is what the columns of names become, by the other
// columns and by the list.
func TestNamesAndTheirParts(t *testing.T) {
	whole := []sheet.Field{sheet.Name, sheet.Email}
	parts := []sheet.Field{sheet.GivenName, sheet.FamilyName, sheet.Email}
	for _, tt := range []struct {
		header, row string
		fields      []sheet.Field
		want        string
	}{
		{"Nombre,Email", "Ana,a@example.org", whole, "[Ana a@example.org]"},
		{"Nombre,Apellido,Email", "Ana,Paz,a@example.org", whole, "[Ana Paz a@example.org]"},
		{"Name,Surname,Email", "Ana,Paz,a@example.org", whole, "[Ana Paz a@example.org]"},
		{"Name / Nombre,Last name / Apellido,Email", "Ana,Paz,a@example.org", whole, "[Ana Paz a@example.org]"},
		{"Apellido,Nombre,Email", "Paz,Ana,a@example.org", whole, "[Ana Paz a@example.org]"},
		{"Name,First Name,Last Name,Email", "Ana Paz R,Ana,Paz,a@example.org", whole, "[Ana Paz R a@example.org] First Name:part-of-name Last Name:part-of-name"},
		{"Full name,Surname,Email", "Ana Paz,Paz,a@example.org", whole, "[Ana Paz a@example.org] Surname:part-of-name"},
		{"First name,Email", "Ana,a@example.org", whole, "[Ana a@example.org]"},
		{"First name,Last name,Email", "Ana,Paz,a@example.org", parts, "[Ana Paz a@example.org]"},
		{"Nombre,Apellido,Email", "Ana,Paz,a@example.org", parts, "[Ana Paz a@example.org]"},
		{"Name,Email", "Ana Paz,a@example.org", parts, "[  a@example.org] Name:whole-name"},
		{"First name,Last name,Email", "Ana,Paz,a@example.org", append(parts, sheet.Name), "[Ana Paz a@example.org Ana Paz]"},
	} {
		s, err := sheet.Open(strings.NewReader(tt.header+"\n"+tt.row+"\n"), sheet.Options{Fields: tt.fields})
		if err != nil {
			t.Errorf("%s: %v", tt.header, err)
			continue
		}
		var row sheet.Row
		if err := s.Next(&row); err != nil {
			t.Errorf("%s: %v", tt.header, err)
			continue
		}
		got := fmt.Sprint(row.Cells)
		for _, d := range s.Dropped() {
			got += " " + d.Header + ":" + d.Slug
		}
		if got != tt.want {
			t.Errorf("%s into %v: got %s, want %s", tt.header, tt.fields, got, tt.want)
		}
	}
}

func TestMap(t *testing.T) {
	usual := []sheet.Field{sheet.Name, sheet.Email, sheet.City}
	for _, tt := range []struct {
		header string
		m      map[string]string
		want   string // fields of the columns that are kept, or the reason of the error
	}{
		{"Who,Mail me", map[string]string{"Who": "name", "Mail me": "email"}, "name email"},
		{"Who,Email", map[string]string{" Who ": " name "}, "name email"},
		{"Who,Email", map[string]string{"who": "name"}, "name email"},
		{"Name,Email,City", map[string]string{"City": "-"}, "name email"},
		{"Name,Email,City", map[string]string{"City": ""}, "name email"},
		{"Name,Email,Town hall", map[string]string{"Town hall": "city"}, "name email city"},
		{"Name,Email,State", map[string]string{"State": "city"}, "name email city"},
		{"Who,Whose,Email", map[string]string{"Who": "given_name", "Whose": "family_name"}, "name name email"},
		{"Name,Email,X", map[string]string{"X": "shareable"}, "name email shareable"},
		{"X,X,Email", map[string]string{"X": "name"}, "name name email"},
		{"Name,,Email", map[string]string{"": "city"}, "name city email"},
		{"Name,Email", map[string]string{"Nome": "name"}, "bad-map"},
		{"Name,Email", map[string]string{"Name": "phone"}, "bad-map"},
		{"Name,Email", map[string]string{"Name": "ssn"}, "bad-map"},
		{"WHO,who!,Email", map[string]string{"Who": "name"}, "bad-map"},
		{"Who,Email", map[string]string{"Who": "name", "who": "city"}, "bad-map"},
		{"Name,Email,Date of birth", map[string]string{"Date of birth": "city"}, "refused-map"},
		{"Name,Email,Date of birth", map[string]string{"Date of birth": "-"}, "name email"},
		{"Name,Email,Notes", map[string]string{"notes": "name"}, "refused-map"},
		{"A,B,C", map[string]string{"A": "-", "B": "-", "C": "-"}, "nothing-to-keep"},
	} {
		s, err := sheet.Open(strings.NewReader(tt.header+"\nx,y,z\n"), sheet.Options{Fields: usual, Map: tt.m})
		var got []string
		var e *sheet.Error
		switch {
		case errors.As(err, &e):
			got = append(got, string(e.Reason))
		case err != nil:
			t.Errorf("%v: %v", tt.m, err)
		default:
			for _, c := range s.Kept() {
				got = append(got, string(c.Field))
			}
		}
		if got := strings.Join(got, " "); got != tt.want {
			t.Errorf("%s with %v: got %s, want %s", tt.header, tt.m, got, tt.want)
		}
	}
}

// TestMapCleans: a mapped column is cleaned and scanned as any other.
func TestMapCleans(t *testing.T) {
	s, err := sheet.Open(strings.NewReader("Who,Where to write\n219-09-9999,A@EXAMPLE.ORG\nAna,A@EXAMPLE.ORG\n"),
		sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Email}, Map: map[string]string{"Who": "name", "Where to write": "email"}})
	if err != nil {
		t.Fatal(err)
	}
	var row sheet.Row
	if err := s.Next(&row); err != nil || row.Refusal != sheet.IdentityNumber {
		t.Errorf("got %v, %v; want the row refused for its identity number", row.Refusal, err)
	}
	if err := s.Next(&row); err != nil || row.Cells[1] != "a@example.org" {
		t.Errorf("got %v, %v; want a clean address", row, err)
	}
	if err := s.Next(&row); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

func TestRefused(t *testing.T) {
	for _, word := range []string{"birth_date", "birthdate", "dob", "nationality", "immigration_status", "ssn", "a_number", "itin", "passport", "licence", "license", "ip_address", "ip",
		"coordinates", "latitude", "employer", "health", "religion", "ethnicity", "court_date", "court_dates", "signature", "notes", "comments", "address", "street_address"} {
		reason, instead, ok := sheet.Refused(word)
		if !ok || reason == "" || instead == "" {
			t.Errorf("Refused(%q) = %q, %q, %t; want a reason and what takes its place", word, reason, instead, ok)
		}
	}
	for _, f := range append(sheet.Catalogue(), "q1", "Can drive?", "shareable", "email_address", "") {
		if _, _, ok := sheet.Refused(string(f)); ok {
			t.Errorf("Refused(%q), want it not refused", f)
		}
	}
}

// TestReasons: every reason can be named and told to people, once.
func TestReasons(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range sheet.Reasons() {
		if r.Slug() == "" || r.String() == "" || seen[r.Slug()] {
			t.Errorf("reason %d: slug %q, text %q; want both, and the slug once", r, r.Slug(), r)
		}
		seen[r.Slug()] = true
	}
	if len(seen) != 35 {
		t.Errorf("%d reasons, want 35: a number is for ever", len(seen))
	}
	for _, r := range []sheet.Reason{sheet.None, 31, 255} {
		if r.Slug() != "" || r.String() != "" {
			t.Errorf("reason %d is called %q", r, r.Slug())
		}
	}
}

// TestRulesNameEveryReason: an organiser finds whatever an answer says in RULES.md.
func TestRulesNameEveryReason(t *testing.T) {
	rules, err := os.ReadFile("RULES.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range sheet.Reasons() {
		if !strings.Contains(string(rules), "`"+r.Slug()+"`") {
			t.Errorf("RULES.md does not say what %s is", r.Slug())
		}
	}
}

// TestConsentIsToShareContacts: people agree to many things, and only to have their
// contact data shared with partner organisations is what a list records.
func TestConsentIsToShareContacts(t *testing.T) {
	for want, headers := range map[string][]string{
		"consent": {
			"OK to share?", "Ok to share", "OK TO SHARE *", "2) OK to share?", "OK to share? (yes/no)", "OK to share with partner groups? (yes/no)", "OK to share with partner groups? Y/N", "OK to share - required", "May we share your contact with partner groups?",
			"May we share your details with partners?", "May we share your address with partner groups?", "Is it OK to share your info with partners?", "Is it OK to share your name and phone number with our partners and allies?", "Can we share your information with other organizations we work with?",
			"Do you consent to share this?", "Consent", "Consent *", "CONSENT:", "Consent (yes/no)", "Consent (required)", "Consent / Consentimiento", "Consent: OK to share?", "Consent (OK to share with partners)", "Share with partners?", "Share with partner organizations", "Consent to sharing of my data", "shareable", "Sharing",
			"OK to share (name and email)", "I agree to share my contact information with the coalition", "Permission to share (contact info)", "OK to share? / ¿Podemos compartir?", "OK to share? ¿Podemos compartir sus datos?", "OK to share with partners? Yes or no",
			"¿Podemos compartir?", "¿Podemos compartir sus datos?", "¿Podemos compartir sus datos con organizaciones aliadas?", "¿Podemos compartir sus datos con otras organizaciones?", "¿Podemos compartir su nombre y teléfono con nuestros grupos aliados? (sí/no)", "Consentimiento", "Consentimiento (obligatorio)",
			"¿Nos autoriza a compartir sus datos?", "Compartir con otras organizaciones", "Doy permiso para compartir mi información de contacto",
			"Pouvons-nous partager vos coordonnées ?", "Acceptez-vous de partager vos coordonnées avec nos partenaires ?", "Acceptez-vous que nous partagions vos données avec d’autres organisations ? (oui/non)",
			"Podemos compartilhar seus dados com organizações parceiras?", "Autorizo o compartilhamento dos meus dados", "Èske nou ka pataje kontak ou ak lòt òganizasyon?", "Eske nou ka pataje enfòmasyon ou ak patnè nou yo?",
			"是否同意分享您的联系方式？", "是否同意我们分享您的信息给合作组织？", "是否同意分享（必填）", "可以分享吗？", "可否分享您的資料給夥伴組織",
			"Dürfen wir Ihre Daten weitergeben?", "Possiamo condividere i suoi dati con altre organizzazioni?", "Får vi dela dina uppgifter?", "Можем ли мы передать ваши данные?", "공유에 동의하십니까?", "هل توافق على مشاركة بياناتك؟",
		},
		"no-consent": {"Do not share", "DO NOT share (my photo)", "Do Not Trade", "Please don't share my data", "Do not share with ICE", "No compartir", "Por favor no compartir mis fotos", "Ne pas partager", "请勿分享照片"},
		"unknown": {
			"Consent: I agree to receive text messages", "Consent - for text updates", "Consent (photo release)", "Consent (SMS)", "Consent (email)", "Consent (text messages)", "Consent to photos", "Consent / Do not share", "OK to share your photo on Instagram?", "OK to share photos?",
			"Can we share a ride with you?", "Permission to share photos", "I agree to share my story", "I consent to share my location", "Do you agree to share a room?", "Can we share your contact with other riders", "OK to share with press?", "May we share your name with ICE?",
			"May we share your name with the police", "May we share your information with your partner?", "Can we share your contact with us?", "OK to share (photos)", "OK to share: your story", "OK to share? (with the press)", "OK to share with", "OK to share with our", "OK to share with partners and police", "Can we share your contact with everyone",
			"Is it OK to share on social media?", "Share with partners: photos", "OK to share? / Instagram", "Agree to share costs", "OK to share with partners' lawyers",
			"Podemos compartir su foto", "Compartir con otros un viaje", "Compartir con", "¿Podemos compartir su historia?", "¿Podemos compartir sus datos con la prensa?", "Podemos compartir con la migra", "Consentimiento (fotos)", "Consentimiento: mensajes de texto", "Permiso para compartir fotos",
			"Pouvons-nous partager votre photo ?", "Consentement (photos)", "Podemos compartilhar sua foto?", "Consentimento (imagem)", "Èske nou ka pataje foto ou?", "是否同意分享照片", "可以分享吗（照片）", "我同意分享位置", "Samtycke (foto)", "Einwilligung (Fotos)", "Possiamo condividere le foto?",
		},
	} {
		for _, h := range headers {
			if got := sheet.MeaningOf(h); got != want && !(want == "unknown" && (got == "unneeded" || refusedSlug(got))) {
				t.Errorf("%q: got %s, want %s", h, got, want)
			}
		}
	}
}

// TestToldByCells: a number below words that nobody knows may be anybody's whom the
// person would call.
func TestToldByCells(t *testing.T) {
	for heading, want := range map[string]string{
		"": "email phone", "3": "email phone", "?": "email phone",
		"Where do we write?": "email", "¿A dónde escribimos?": "email", "Foo": "email",
		"EC phone": "", "ICE phone": "", "Who should we call if you are detained?": "", "¿A quién debemos llamar si lo detienen?": "", "Persona de confianza": "", "Trusted contact": "", "Contact 2": "", "Contacto 2": "", "Alt contact": "", "Other contact": "",
		"2nd contact": "", "Jail phone": "", "Hotline": "", "Jail email": "", "Buyer's mail": "", "Tenant's where": "", "Whose correo": "", "Where do we call?": "email", "Is there a number we can call?": "email",
		"Contact": "email phone", "Number": "email phone", "EC email": "", "ICE": "", "Work mail of": "",
	} {
		got := ""
		for _, f := range []sheet.Field{sheet.Email, sheet.Phone} {
			cells := map[sheet.Field]string{sheet.Email: "%s@example.org", sheet.Phone: "(212) 555-01%s"}[f]
			text := "Name," + heading + ",City\nAna," + strings.Replace(cells, "%s", "01", 1) + ",Bronx\nBo," + strings.Replace(cells, "%s", "02", 1) + ",Bronx\n"
			s, err := sheet.Open(strings.NewReader(text), sheet.Options{Fields: []sheet.Field{sheet.Name, sheet.Email, sheet.Phone, sheet.City}, Region: "US"})
			if err != nil {
				t.Errorf("%q: %v", heading, err)
				continue
			}
			for _, c := range s.Kept() {
				if c.Index == 1 {
					got += " " + string(c.Field)
					if !c.ByCells {
						t.Errorf("%q is known without its cells", heading)
					}
				}
			}
		}
		if got = strings.TrimPrefix(got, " "); got != want {
			t.Errorf("%q over addresses and over numbers: got %q, want %q", heading, got, want)
		}
	}
}
