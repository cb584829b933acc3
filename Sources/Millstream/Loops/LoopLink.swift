/// What the hub and one other loop have in common: the only thing that both of their threads touch.
final class LoopLink: Sendable {
  /// From the hub to the loop.
  let inbox: NotificationInbox
  let inboxBell = Doorbell()
  /// From the loop to the hub.
  let wishes = ChannelWishes()
  let wishesBell: Doorbell
  /// The native streams that the loop has.
  let streams = StreamMarks()

  init(limitBytes: Int, wishesBell: Doorbell) {
    inbox = NotificationInbox(limitBytes: limitBytes)
    self.wishesBell = wishesBell
  }
}
