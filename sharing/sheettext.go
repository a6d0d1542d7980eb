package sharing

// The pages of a partner sheet. They are for somebody who has never made a key and
// is tired, and tell one thing to do at a time. Menus are those of Thunderbird 78
// and later and of Kleopatra 3 (Gpg4win).

const sheetEnglish = `HOW TO RECEIVE A LIST FROM US                      Keep this page. Print it.

From: {from}
For:  {for}

People on our lists can be hurt if a list gets out. So we send it locked, and
only your key opens it. (Names of menus differ a little between versions.)

1. MAKE A KEY, on a computer that strangers do not use.
   Thunderbird: Account Settings > End-To-End Encryption > Add Key >
   Create a new OpenPGP Key > Generate key. Give Thunderbird a Primary
   Password (Settings > Privacy & Security): it is the lock on your key.

2. SEND US THE PUBLIC KEY, and never the secret one.
   On the same page: More > Export Public Key to a file. Mail us that file.
   If PRIVATE KEY stands in it, it is the wrong one: do not send it.

3. COMPARE FINGERPRINTS, by phone or face to face, not by email.
   Ours:  {ours}
   Yours: {theirs}
   You read yours aloud from your screen, and we read ours. If one digit
   differs, stop and send nothing. Our phone: ____________________________

4. OPEN WHAT WE SEND. Save the file first.
   Thunderbird: right click on the attachment > Decrypt and Save As.
   Or: gpg --import OURCERTIFICATE, then gpg --output LIST --decrypt FILE
   It is from us only if the signature is good and has our fingerprint, as
   gpg and Kleopatra show. If none is shown, call us before you use it.

5. USE IT FOR THE PURPOSE IT NAMES, AND DELETE IT BY ITS DATE.
   Both stand at its top. Give it to nobody else. Delete every copy: the
   file, what you made of it, downloads, trash, mail, phones, backups, paper.

6. SIGN THE RECEIPT when all of it is gone. We send you the line to sign:
       deleted ID SHA256
   Save it as receipt.txt, then: gpg --clearsign receipt.txt
   and send us receipt.txt.asc. Or in Kleopatra: Notepad, paste the line,
   Recipients: sign only, Sign Notepad, and send us the text that comes out.
   A signed email from Thunderbird does not do. To bring your key to gpg or
   Kleopatra: in Thunderbird, More > Backup Secret Key To File; import that
   file there, then delete it.

7. KEY LOST OR STOLEN, OR ITS HOLDER LEFT? Tell us at once, by phone or in
   person and not by email. We send nothing until a new key is compared.
`

const sheetSpanish = `CÓMO RECIBIR UNA LISTA NUESTRA           Guarde esta página. Imprímala.

De:   {from}
Para: {for}

Si una lista sale a la luz, puede hacer daño a las personas que están en ella.
Por eso la enviamos cerrada, y solo la abre su clave. (Los nombres de los
menús cambian un poco de una versión a otra.)

1. HAGA UNA CLAVE, en una computadora que no usen extraños.
   Thunderbird: Configuración de la cuenta > Cifrado de extremo a extremo >
   Añadir clave > Crear una nueva clave OpenPGP > Generar clave. Ponga a
   Thunderbird una contraseña principal (Ajustes > Privacidad y seguridad):
   es el candado de su clave.

2. ENVÍENOS LA CLAVE PÚBLICA, y nunca la secreta.
   En la misma página: Más > Exportar clave pública a un archivo. Envíenos
   ese archivo. Si dentro dice PRIVATE KEY, no es ese: no lo envíe.

3. COMPARE LAS HUELLAS, por teléfono o en persona, no por correo.
   Nuestra: {ours}
   Suya:    {theirs}
   Usted lee la suya en voz alta de su pantalla, y nosotros la nuestra. Si
   un solo signo es distinto, pare y no envíe nada.
   Nuestro teléfono: ____________________________

4. ABRA LO QUE ENVIAMOS. Primero guarde el archivo.
   Thunderbird: clic derecho en el adjunto > Descifrar y guardar como.
   O: gpg --import CERTIFICADO, y luego gpg --output LISTA --decrypt ARCHIVO
   Es nuestro solo si la firma es buena y tiene nuestra huella, como lo
   muestran gpg y Kleopatra. Si no la muestra, llámenos antes de usarlo.

5. ÚSELO SOLO PARA EL FIN QUE INDICA Y BÓRRELO A MÁS TARDAR EN SU FECHA.
   Ambos están al principio. No lo dé a nadie más. Borre todas las copias: el
   archivo, lo que hizo con él, descargas, papelera, correo, teléfonos, copias
   de seguridad, papel.

6. FIRME EL RECIBO cuando todo esté borrado. Le enviamos la línea que firmar:
       deleted ID SHA256
   Guárdela como recibo.txt, luego: gpg --clearsign recibo.txt
   y envíenos recibo.txt.asc. O en Kleopatra: Bloc de notas, pegue la línea,
   Destinatarios: solo firmar, Firmar, y envíenos el texto que resulta.
   Un correo firmado de Thunderbird no sirve. Para llevar su clave a gpg o
   Kleopatra: en Thunderbird, Más > Copia de seguridad de la clave secreta en
   un archivo; impórtelo allí y luego bórrelo.

7. ¿CLAVE PERDIDA O ROBADA, O SE FUE QUIEN LA TENÍA? Avísenos enseguida, por
   teléfono o en persona y no por correo. No enviamos nada hasta comparar una
   clave nueva.
`
