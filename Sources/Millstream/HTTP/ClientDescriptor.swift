import CSystem

/// What a client can be served through: a connected stream socket, or the writing end of a pipe.
public enum ClientDescriptor {
  /// Makes one that the host has accepted nonblocking and close-on-exec, which it has to be to be handed
  /// over. False, with nothing changed: it is not open, or something else.
  public static func prepare(_ descriptor: Int32) -> Bool {
    descriptor >= 0 && ms_descriptor_kind(descriptor) != MS_NOT_A_CLIENT
      && ms_make_nonblocking(descriptor)
  }
}
