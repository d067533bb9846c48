// Package engine runs collectors: scripts that ask an API for events, which it keeps on disk until
// every output has acknowledged them. It is the domain of the program and knows neither what a script
// can call (package builtins) nor where events go (package sinks); both are handed to it.
//
// The central types, in the order in which a reader meets them:
//
//   - [Config] is the configuration file, read and checked; [Section] and [Settings] are the parts of it
//     that outputs and scripts read.
//   - [Library] is where scripts come from, [Sources] a snapshot of it, and [Script] one script,
//     initialised for one collector.
//   - [Pull] is one call of a script's function pull. What it sends and the cursors it sets are only
//     staged; [Pull.Commit] makes both durable in one step, or neither.
//   - [Store] keeps cursors, remembered rows and the outbox, which is what some output has not
//     acknowledged yet.
//   - [Event] is one record on its way, and [Sink] an output. The comment of Sink is the contract of
//     delivery.
//   - [Engine] runs all of that, follows the files that people change, and reports its [Status].
//   - [Error] is trouble at a border. Its [Code] says what is done about it.
//   - [Telemetry] is every span and metric, declared once.
//
// [Check] and [PullOnce] do parts of what an Engine does, for tools.
//
// # Guarantees
//
// At least once, in order per collector and output (with one connection, which is the default): an event
// is committed to disk together with the cursor that passed it, and it is forgotten only when every
// output has acknowledged it. Syslog over TCP or TLS has no acknowledgement, so the epoch rule stands in:
// Starling half-closes the connection after about 8 MiB at the latest and takes the receiver's own
// orderly end of stream as its word that it has read everything; what is not confirmed is offered again,
// same bytes, same order. A receiver or balancer that confirms and then loses the events behind it cannot
// be seen by any sender. A receiver that never ends its side is believed when its kernel has taken 8 MiB
// more, or 15 s later: what it holds unread for longer, it can lose. An event can arrive twice when a
// connection or either process ends before the confirmation: at most the epoch in flight, or that window.
package engine
