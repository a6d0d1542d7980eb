package sheet_test

import (
	"strings"
	"testing"

	"github.com/rallyvault/rallyvault/vault/sheet"
)

// TestDisclosures: what people type behind a name late at night, and what of it
// must not be kept.
func TestDisclosures(t *testing.T) {
	for why, behind := range map[sheet.Reason][]string{
		sheet.IdentityCell: {
			"PEPJ900101HDFRRN09", "curp pepj900101hdfrrna9", "CURP: PEPJ000101MDFRRNA9",
			"DNI 12345678", "DNI 12.345.678", "dni: 12345678", "DNI12345678", "cedula 1234567", "Cédula 1234567", "cédula de identidad 1234567", "cedula V-12345678", "cedula 001-1234567-8", "pasaporte AB1234567", "pasaporte no. 1234567",
			"passport AB1234567", "passport number: AB1234567", "passport 123456", "passeport n° AB1234567",
			"A_12345678", "A=12345678", "A) 12345678", "A-12345678", "(A)12345678", "Anumber12345678", "A number 12345678", "número 12345678", "alien12345678", "USCIS# 123-456-789",
			"123,45,6789", "123:45:6789", "123, 45, 6789", "123-456789", "SSN 6789", "ssn: 6789", "ssn last 4 6789", "social security 6789", "seguro social 6789", "SSN 12 345 6789", "social 12 345 6789",
			"IOE0912345678", "ioe0912345678", "EAC-09-123-45678", "WAC 09 123 45678", "MSC 2190012345", "LIN2190012345",
			"4111 1111 1111 1111", "4111,1111,1111,1111", "4111-1111 1111,1111", "411111 1111111111", "4111111111111111", "2221000000000009", "2720 9900 0000 0007", "3782 822463 10005",
		},
		sheet.DateCell: {
			"DOB 03041990", "DOB03041990", "dob 3/4/90", "d.o.b. 1990", "4-Mar-90", "4/mar/90", "4.Mar.1990", "4mar90", "DOB 3 4 90", "4 mars 1990", "4 de marzo de 1990", "1er mai 1990", "March 4 1990", "nació en 1990", "née en 1990", "né le 4 mars", "nacida el 4 de mayo",
			"born in March 1990", "born on 4 March", "born 1990", "FDN 4/3/90", "cumpleaños 4 de mayo", "age 34", "Age: 34", "edad 34", "34 años", "34 anos", "(34 ans)", "34 yrs old", "34yo",
			"1990年3月4日", "1990 年", "3月4日", "34岁", "1990년 3월 4일", "34세", "nascido em 1990",
			"4/12 court", "court 4/12", "corte 4/12", "Corte el 12", "court on Tue 4/12", "hearing Apr 12", "hearing Apr12", "12 de abril corte", "april 12 court", "4/12 en corte", "court at 26 Federal Plaza 4/12 court", "hearing 12", "cita 4/12", "audiencia el martes 12 de abril", "check-in 4/12", "4/12/26 check in", "trial 4-12",
		},
		sheet.StatusCell: {
			"undoc", "no status", "s/papeles", "no tiene documentos", "detained", "detenido", "detenida", "detenido/a", "LPR", "I-589", "i589 pending", "VAWA", "SIJS", "ankle monitor", "grillete", "cita migra", "cita con la migra",
			"U visa", "U-visa", "T visa", "T visa pending", "u visa, pending", "U Visa Pending",
		},
	} {
		for _, s := range behind {
			for _, cell := range []string{"Ana Paz " + s, "Ana Paz (" + s + ")", s, s + " Paz"} {
				if cell == s+" Paz" && strings.HasSuffix(strings.ToLower(s), "visa") {
					continue // a surname
				}
				if got, r := sheet.Clean(sheet.Name, cell, "US"); got != "" || r != why {
					t.Errorf("%q: got %q, %q; want it left out, %q", cell, got, r.Slug(), why.Slug())
				}
			}
		}
	}
}

// TestNamesDiscloseNothing: names that look like what people disclose.
func TestNamesDiscloseNothing(t *testing.T) {
	c := sheet.NewCleaner("US")
	for _, name := range []string{
		"Refugio", "Refugio Paz", "Socorro", "Socorro Asilomar", "Ortega y Gasset", "James Court", "James Court 3", "Court 12", "Ana Corte", "Ana Corte 2", "Corte Madera", "Dolores de la Corte", "Augusto Enero", "Courtney Hearing", "Asilomar", "Dacanay",
		"Null", "None", "Na Li", "U Thant", "Ng", "2Pac", "King III", "Mar Gomez", "Mar Gomez 3", "May Abril", "Julio Agosto", "April June", "April June 2", "Mai Juin", "Jan 2", "Max Born", "Max Born 2", "Ne Win", "Age Hansen", "Yo Yo Ma",
		"T. Visa Rivera", "U Visa Rivera", "t. visa Rivera", "Visa Rivera", "Dito", "Dito Paz", "JW", "J W", "jw", "J. W.", "Asyl", "Azil", "The Xanh", "Nguyễn Thế Xanh", "Siv Lind", "Monica Paz", "Status Quo", "Moni", "Lin Mei", "Mei Lin 2125550101", "Ana 2125550101",
		"Ana (212) 555-0101", "Ana tel 212-555-0101", "Ana, 212-555-0101, 646-555-0103", "Ana Paz 10002-1234", "Rut 5550101", "Social Paz", "Ana Alvarez3f2a1234567", "Sept 11", "Ana dob", "Mars Bonfire", "Ana 4", "Ana #4", "Room 4/12", "A 1234567",
	} {
		if got, r := c.Clean(sheet.Name, name); got != name || r != sheet.None && r != sheet.TwoPeople {
			t.Errorf("%q: got %q, %q; want it kept", name, got, r.Slug())
		}
	}
}
