# What a door's display says in English: one message for each reason, and the same messages in id.ftl.
# A message here replaces the one that is built in; one that is left out keeps the built-in text.
# A message may use { $door }, { $zone }, { $opd }, { $hour } and { $status } (green, yellow, red, black or unknown), such as
#   status-red = { $status -> [red] Red *[other] { $status } }: please see a helper
# Displays are small: 64 characters fit everywhere.

## What the policies say

exit-always = Thank you, goodbye
staff-green = Please come in
visitor-green-office-hours = Welcome, please come in
visitor-outside-office-hours = Visits are Monday to Friday, 07:00 to 16:00
visitor-holiday = Closed for visitors on public holidays
visit-not-yet = Your visit has not begun yet
visit-over = Your visit is over
contract-not-yet = Your contract has not begun, please see a helper
contract-over = Your contract is over, please see a helper
status-yellow = Please wait for a helper
status-unknown = No valid health status, please see a helper
status-red = You may not enter, please see a helper
status-black = You may not enter, please see a helper
unknown-credential = Unknown code
certificate-holder-unknown = Please show your ID card to a helper
zone-full = No room inside, please wait
zone-full-staff = No room inside, please see a helper
passback = You are recorded as inside, please see a helper
directory-expired = Staff records are out of date, please see a helper
pass-fault = This QR code is not valid, please see a helper

## Why a pass does not count

pass-oversize = This QR code is too long
pass-not-base45 = The QR code cannot be read, please try again
pass-not-compressed = This QR code is damaged, ask for a new one
pass-inflates-too-far = This QR code is not normal, please see a helper
pass-malformed = This QR code is damaged, ask for a new one
pass-too-deep = This QR code is not normal, please see a helper
pass-algorithm = This kind of QR code is not accepted
pass-no-key-id = This QR code does not name its issuer
pass-unknown-key = The issuer of this QR code is not known
pass-key-not-valid = The issuer's key is not valid
pass-wrong-signature = This QR code is not genuine, please see a helper
pass-claims = This QR code is incomplete, ask for a new one
pass-not-yet-valid = This QR code is not valid yet
pass-expired = This QR code has expired
pass-revoked = This QR code has been revoked
pass-key-revoked = QR codes of this issuer have been revoked
pass-subject-revoked = Your permission was revoked, please see a helper
pass-replayed = This QR code was just used at another door
pass-used = This one-time QR code has been used

## What the gateway itself says: only { $door } may be used in these

welcome = Please come in
goodbye = Thank you, goodbye
late-scan = Late scan, recorded only
unknown-door = This door is not registered
malformed-scan = The scan could not be read

## Where no policy has spoken, or nothing else says why

policy-error = System error, please see a helper
no-policy = Access is not permitted
outcome-granted = Please come in
outcome-denied = You may not enter
outcome-assist = Please see a helper
