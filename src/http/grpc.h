// gRPC calls over the HTTP client, with messages as raw bytes: whoever calls encodes and decodes.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "http/client.h"

namespace km::http {

enum class GrpcCode {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

struct GrpcStatus {
  GrpcCode code = GrpcCode::kOk;
  std::string message;  // decoded
  bool unsent = false;  // the request surely did not reach the server
  bool ok() const { return code == GrpcCode::kOk; }
  // "rpc error: code = NotFound desc = ...", as grpc-go prints it.
  std::string str() const;
  Status toStatus() const;
};

struct GrpcResult {
  GrpcStatus status;
  std::string message;  // of the answer, if ok
  Headers trailers;
};

struct GrpcOptions {
  Headers metadata;              // also "authorization"
  Duration timeout{0};           // sent as grpc-timeout and kept here; 0: none
  size_t maxMessage = 64 << 20;  // of an answer
};

// Called on the client's loop; onEnd last and exactly once.
struct GrpcStreamHandler {
  std::function<void(std::string message)> onMessage;
  std::function<void(const GrpcStatus& status)> onEnd;
};

// From any thread unless said otherwise.
class GrpcStream {
 public:
  virtual ~GrpcStream() = default;
  // Gives back the bytes not sent yet.
  virtual size_t send(std::string_view message) = 0;
  virtual void closeSend() = 0;
  virtual void cancel() = 0;         // nothing is called any more
  virtual void pauseReading() = 0;   // on the loop's thread
  virtual void resumeReading() = 0;  // on the loop's thread
};

// Calls to one server. `method` is "/package.Service/Method".
class GrpcChannel {
 public:
  // The endpoint is spoken to in HTTP/2, in cleartext if it has no TLS. The client must outlive the channel.
  GrpcChannel(Client& client, Endpoint endpoint);

  // From any thread; the callback comes on the client's loop.
  void unary(std::string method, std::string_view request, GrpcOptions options,
             std::function<void(GrpcResult)> callback);
  // A stream both ways; for server streaming send once and closeSend().
  std::shared_ptr<GrpcStream> open(std::string method, GrpcOptions options, GrpcStreamHandler handler);
  // Waits for the answer. Not on the client's loop.
  GrpcResult unaryAndWait(std::string method, std::string_view request, GrpcOptions options = {});

 private:
  Client& client_;
  Endpoint endpoint_;
};

// The framing, without I/O. Appends one message to `out`.
void grpcFrame(std::string_view message, std::string& out);

// Messages from bytes.
class GrpcDeframer {
 public:
  explicit GrpcDeframer(size_t limit) : limit_(limit) {}
  // Calls back for every complete message. An error is final.
  GrpcStatus feed(std::string_view bytes, const std::function<void(std::string)>& onMessage);
  bool incomplete() const { return !buffer_.empty(); }  // bytes of a message that did not end

 private:
  size_t limit_;
  std::string buffer_;
};

// The status as the trailers, or the head of an answer without body, tell it.
GrpcStatus grpcStatusOf(int httpStatus, const Headers& head, const Headers& trailers);

}  // namespace km::http
