// Package secret has what every part that handles secrets needs: how one is read, who may use it, and how it is kept out
// of texts.
//
// It owns the form of a secret (MinBytes to MaxBytes, less one newline at its end), the rules by which an operator opens
// secrets to flows (Rule), and redaction. It knows neither flows nor settings, and keeps no secret but those in a
// Redactor.
//
// What always holds: no error holds anything of what was read; a file that could hold its reader up, such as a pipe, is
// refused; and what a Writer has passed on has no secret in it, also where one is split over writes, while it holds back
// fewer bytes than the longest secret's longest spelling has.
package secret
