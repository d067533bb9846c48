// Package sim plays the two sides a collector stands between: Microsoft, which it asks, and Devo, which it sends to.
//
// [Microsoft] is the token endpoint and the Reporting Web Service's MessageTrace report; [Devo] is a receiver of syslog over TLS
// that asks for a client certificate; [World] starts both on loopback and writes the folder a user would have: a configuration
// file and certificates. The demonstration, the end-to-end tests and the benchmark run against it.
//
// It is written from the public documentation and from captured answers, and shares nothing with the collector, so that the two
// cannot agree on the same mistake. Where the documentation leaves a question open (the order of rows, the meaning of
// $skiptoken, whether bounds are inclusive) an option chooses, and the default is the harder case.
//
// Rows are a function of the seed and their position, so there is nothing to store: [Microsoft.Truth] counts them out again, and
// [Devo.Compare] holds what arrived against it.
package sim
