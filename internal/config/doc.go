// Package config reads the settings of every role, checks them as a whole, and says where each one came from.
//
// It owns the tree of settings with their defaults, the four layers that set them, the resolving of secrets, and the
// wording of what is wrong. It does not own what the settings do: cmd/systole turns each section into the Config of
// the package that it is for, and no other package reads this one.
//
// The layers, each over the one before:
//
//  1. defaults (Default), one for every setting
//  2. a YAML file; a key without a value leaves the default standing
//  3. the environment: SYSTOLE_ and the key in upper case, levels joined by two underscores, so that gateway.listen
//     is SYSTOLE_GATEWAY__LISTEN. Lists are comma separated or JSON; tokens are JSON
//  4. flags that were given
//
// A secret is given as env:NAME or file:/path, or through the key of the same name with _file after it, and is
// read once, here. Given literally it is accepted from the environment, and from a file that only its owner can read
// (then with a warning); never from a flag, which every user of the machine can see.
//
// What always holds: a Config that Load returns is valid for the roles it was loaded for; where anything is wrong, Load
// returns no Config and an *InvalidError with everything that is, each with its key, its source, what was found and
// what is allowed; a key that is not known is an error and never ignored; secrets of roles that do not run here are
// not read; and no secret is in any error, warning or print of a Config, in whatever format.
package config
