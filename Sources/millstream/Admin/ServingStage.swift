/// Where a server is between its start and its end, in the words in which operators are told.
enum ServingStage: String {
  case serving
  case draining
  case shuttingDown = "shutting down"
}
