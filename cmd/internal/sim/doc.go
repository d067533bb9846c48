// Package sim plays the two sides a collector stands between: Microsoft, which it asks, and Devo, which it sends to.
//
// [Microsoft] is the token endpoint, the Reporting Web Service's MessageTrace report and the message trace of Microsoft Graph;
// [Devo] is a receiver of syslog over TLS that asks for a client certificate; [World] starts both on loopback and writes the
// folder a user would have: a configuration file and certificates. The demonstration and the end-to-end tests run
// against it. Microsoft is an http.Handler; [Microsoft.Start] serves it on a socket, and [Microsoft.Transport] without one, so
// that it also works in a bubble of testing/synctest.
//
// It is written from the public documentation and from captured answers, and shares nothing with the collector, so that the two
// cannot agree on the same mistake. Where the documentation leaves a question open (the order of rows, the meaning of
// $skiptoken, whether bounds are inclusive) an option chooses, and the default is the harder case.
//
// Rows are a function of the seed and their position, so there is nothing to store: [Microsoft.RowsBy] counts them out again, with
// when they appeared and which statuses they had since when, and [Devo.Compare] holds what arrived against it.
package sim
