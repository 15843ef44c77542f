# What a door's display says in Indonesian: one message for each reason, and the same messages in en.ftl.
# A message here replaces the one that is built in; one that is left out keeps the built-in text.
# A message may use { $door }, { $zone }, { $opd }, { $hour } and { $status } (green, yellow, red, black or unknown), such as
#   status-red = { $status -> [red] Merah *[other] { $status } }: hubungi petugas
# Displays are small: 64 characters fit everywhere.

## What the policies say

exit-always = Terima kasih, sampai jumpa
staff-green = Silakan masuk
visitor-green-office-hours = Selamat datang, silakan masuk
visitor-outside-office-hours = Kunjungan hanya Senin–Jumat pukul 07.00–16.00
visitor-holiday = Hari libur, tidak ada kunjungan
visit-not-yet = Waktu kunjungan Anda belum mulai
visit-over = Waktu kunjungan Anda sudah berakhir
contract-not-yet = Masa tugas Anda belum mulai, hubungi petugas
contract-over = Masa tugas Anda sudah berakhir, hubungi petugas
status-yellow = Mohon tunggu petugas Satgas
status-unknown = Status kesehatan belum ada, mohon ke petugas Satgas
status-red = Tidak boleh masuk, hubungi petugas Satgas
status-black = Tidak boleh masuk, hubungi petugas Satgas
unknown-credential = Kode tidak dikenal
certificate-holder-unknown = Tunjukkan kartu identitas kepada petugas Satgas
zone-full = Ruangan penuh, mohon menunggu
zone-full-staff = Ruangan penuh, mohon ke petugas Satgas
passback = Anda tercatat sudah di dalam, mohon ke petugas
directory-expired = Data pegawai perlu diperbarui, mohon ke petugas
pass-fault = Kode QR tidak berlaku, hubungi petugas

## Why a pass does not count

pass-oversize = Kode QR terlalu panjang
pass-not-base45 = Kode QR tidak terbaca, coba lagi
pass-not-compressed = Kode QR rusak, minta kode baru
pass-inflates-too-far = Kode QR tidak wajar, hubungi petugas
pass-malformed = Kode QR rusak, minta kode baru
pass-too-deep = Kode QR tidak wajar, hubungi petugas
pass-algorithm = Jenis kode QR ini tidak diterima
pass-no-key-id = Penerbit kode QR tidak disebutkan
pass-unknown-key = Penerbit kode QR tidak dikenal
pass-key-not-valid = Kunci penerbit kode QR tidak berlaku
pass-wrong-signature = Kode QR tidak asli, hubungi petugas
pass-claims = Isi kode QR tidak lengkap, minta kode baru
pass-not-yet-valid = Kode QR belum berlaku
pass-expired = Kode QR sudah kedaluwarsa
pass-revoked = Kode QR sudah dicabut
pass-key-revoked = Kode QR dari penerbit ini sudah dicabut
pass-subject-revoked = Izin Anda sudah dicabut, hubungi petugas
pass-replayed = Kode QR baru saja dipakai di pintu lain
pass-used = Kode QR sekali pakai ini sudah dipakai

## What the gateway itself says: only { $door } may be used in these

welcome = Silakan masuk
goodbye = Terima kasih, sampai jumpa
late-scan = Pemindaian terlambat, hanya dicatat
unknown-door = Pintu tidak terdaftar
malformed-scan = Data pemindaian tidak terbaca

## Where no policy has spoken, or nothing else says why

policy-error = Kesalahan sistem, hubungi petugas
no-policy = Akses tidak diizinkan
outcome-granted = Silakan masuk
outcome-denied = Tidak boleh masuk
outcome-assist = Mohon ke petugas Satgas
