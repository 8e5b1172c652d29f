#include "http/grpc.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "http/text.h"

namespace km::http {

namespace {
const char* codeName(GrpcCode code) {
  static const char* const names[] = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  int i = static_cast<int>(code);
  return i >= 0 && i <= 16 ? names[i] : "Unknown";
}

int httpCode(GrpcCode code) {
  switch (code) {
    case GrpcCode::kInvalidArgument:
    case GrpcCode::kOutOfRange:
      return 400;
    case GrpcCode::kDeadlineExceeded:
      return 504;
    case GrpcCode::kNotFound:
      return 404;
    case GrpcCode::kAlreadyExists:
    case GrpcCode::kAborted:
      return 409;
    case GrpcCode::kPermissionDenied:
      return 403;
    case GrpcCode::kUnauthenticated:
      return 401;
    case GrpcCode::kResourceExhausted:
      return 429;
    case GrpcCode::kUnimplemented:
      return 501;
    case GrpcCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}
}  // namespace

std::string GrpcStatus::str() const {
  return std::string("rpc error: code = ") + codeName(code) + " desc = " + message;
}

Status GrpcStatus::toStatus() const {
  if (ok()) return {};
  return Status(httpCode(code), codeName(code), str());
}

void grpcFrame(std::string_view message, std::string& out) {
  uint32_t size = static_cast<uint32_t>(message.size());
  out.push_back(0);  // not compressed
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(size >> shift));
  out.append(message);
}

GrpcStatus GrpcDeframer::feed(std::string_view bytes, const std::function<void(std::string)>& onMessage) {
  buffer_.append(bytes);
  size_t at = 0;
  GrpcStatus status;
  while (buffer_.size() - at >= 5) {
    auto* p = reinterpret_cast<const unsigned char*>(buffer_.data() + at);
    size_t size = size_t{p[1]} << 24 | size_t{p[2]} << 16 | size_t{p[3]} << 8 | p[4];
    if (p[0] != 0) {
      status = {GrpcCode::kUnimplemented, "grpc: compressed messages are not supported"};
      break;
    }
    if (size > limit_) {
      status = {GrpcCode::kResourceExhausted, "grpc: received message larger than max (" +
                                                  std::to_string(size) + " vs. " + std::to_string(limit_) +
                                                  ")"};
      break;
    }
    if (buffer_.size() - at - 5 < size) {
      buffer_.reserve(at + 5 + size);
      break;
    }
    std::string message = buffer_.substr(at + 5, size);
    at += 5 + size;
    onMessage(std::move(message));
  }
  buffer_.erase(0, at);
  return status;
}

GrpcStatus grpcStatusOf(int httpStatus, const Headers& head, const Headers& trailers) {
  const Headers& from = trailers.has("grpc-status") ? trailers : head;
  if (from.has("grpc-status")) {
    std::string_view text = from.get("grpc-status");
    int code = 0;
    bool good = !text.empty() && text.size() <= 3;
    for (char c : text) {
      good = good && c >= '0' && c <= '9';
      code = code * 10 + (c - '0');
    }
    auto message = percentDecode(from.get("grpc-message"));
    return {good ? static_cast<GrpcCode>(code) : GrpcCode::kUnknown,
            message ? *message : std::string(from.get("grpc-message"))};
  }
  std::string why = "unexpected HTTP status code received from server: " + std::to_string(httpStatus) + " (" +
                    std::string(reasonPhrase(httpStatus)) + ")";
  switch (httpStatus) {
    case 200:
      return {GrpcCode::kInternal, "server closed the stream without sending trailers"};
    case 400:
      return {GrpcCode::kInternal, why};
    case 401:
      return {GrpcCode::kUnauthenticated, why};
    case 403:
      return {GrpcCode::kPermissionDenied, why};
    case 404:
      return {GrpcCode::kUnimplemented, why};
    case 429:
    case 502:
    case 503:
    case 504:
      return {GrpcCode::kUnavailable, why};
    default:
      return {GrpcCode::kUnknown, why};
  }
}

namespace {

// grpc-timeout has at most eight digits.
std::string timeoutText(Duration timeout) {
  int64_t micros = timeout.count() / 1000;
  if (micros < 100000000) return std::to_string(std::max<int64_t>(micros, 1)) + "u";
  if (micros / 1000 < 100000000) return std::to_string(micros / 1000) + "m";
  return std::to_string(std::min<int64_t>(micros / 1000000, 99999999)) + "S";
}

CallOptions callOptions(std::string method, const GrpcOptions& options) {
  CallOptions o;
  o.method = "POST";
  o.target = std::move(method);
  o.headers = {{"te", "trailers"}, {"content-type", "application/grpc"}, {"user-agent", "km"}};
  if (options.timeout > Duration::zero()) o.headers.add("grpc-timeout", timeoutText(options.timeout));
  for (Headers::Field f : options.metadata) o.headers.add(f.name, f.value);
  o.timeout = options.timeout;
  return o;
}

GrpcStatus transportStatus(const Status& why) {
  if (why.code() == 504) return {GrpcCode::kDeadlineExceeded, why.message()};
  return {GrpcCode::kUnavailable, "connection error: desc = \"" + why.message() + "\"", why.is(kNotSent)};
}

// What both kinds of call do with the answer. Lives in the handler of the call.
struct Answer {
  explicit Answer(size_t limit) : deframer(limit) {}
  GrpcDeframer deframer;
  int status = 0;
  Headers head;
  std::mutex mutex;
  std::weak_ptr<Call> call;  // guarded by mutex: set while answers may come already
  std::function<void(std::string)> onMessage;
  std::function<void(const GrpcStatus&, const Headers&)> onEnd;

  void setCall(const std::shared_ptr<Call>& c) {
    std::lock_guard lock(mutex);
    call = c;
  }
  std::shared_ptr<Call> getCall() {
    std::lock_guard lock(mutex);
    return call.lock();
  }
  void end(const GrpcStatus& result, const Headers& trailers) {
    auto call = std::move(onEnd);
    onEnd = nullptr;
    onMessage = nullptr;
    if (call) call(result, trailers);
  }
};

CallHandler handlerOf(const std::shared_ptr<Answer>& a) {
  CallHandler h;
  h.onHead = [a](int status, const Headers& headers) {
    a->status = status;
    a->head = headers;
  };
  h.onData = [a](std::string_view bytes) {
    if (a->status != 200 || !a->onEnd) return;  // the body of an error that is not of gRPC
    GrpcStatus s = a->deframer.feed(bytes, [&](std::string m) {
      auto call = a->onMessage;
      if (call) call(std::move(m));
    });
    if (s.ok()) return;
    if (auto call = a->getCall()) call->cancel();
    a->end(s, {});
  };
  h.onEnd = [a](const Headers& trailers) {
    GrpcStatus s = grpcStatusOf(a->status, a->head, trailers);
    if (s.ok() && a->deframer.incomplete()) s = {GrpcCode::kInternal, "unexpected EOF"};
    a->end(s, trailers);
  };
  h.onError = [a](const Status& why) { a->end(transportStatus(why), {}); };
  return h;
}

class StreamImpl final : public GrpcStream {
 public:
  explicit StreamImpl(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  size_t send(std::string_view message) override {
    std::string framed;
    framed.reserve(message.size() + 5);
    grpcFrame(message, framed);
    return call_->write(std::move(framed));
  }
  void closeSend() override { call_->finishBody(); }
  void cancel() override { call_->cancel(); }
  void pauseReading() override { call_->pauseReading(); }
  void resumeReading() override { call_->resumeReading(); }

 private:
  std::shared_ptr<Call> call_;
};

}  // namespace

GrpcChannel::GrpcChannel(Client& client, Endpoint endpoint)
    : client_(client), endpoint_(std::move(endpoint)) {
  endpoint_.speak = Endpoint::Speak::kHttp2;
}

void GrpcChannel::unary(std::string method, std::string_view request, GrpcOptions options,
                        std::function<void(GrpcResult)> callback) {
  CallOptions o = callOptions(std::move(method), options);
  std::string framed;
  framed.reserve(request.size() + 5);
  grpcFrame(request, framed);
  o.body = Body(std::move(framed));
  auto answer = std::make_shared<Answer>(options.maxMessage);
  auto result = std::make_shared<GrpcResult>();
  auto count = std::make_shared<int>(0);
  answer->onMessage = [result, count](std::string m) {
    ++*count;
    result->message = std::move(m);
  };
  answer->onEnd = [result, count, callback = std::move(callback)](const GrpcStatus& status,
                                                                  const Headers& trailers) {
    result->status = status;
    result->trailers = trailers;
    if (status.ok() && *count != 1)
      result->status = {GrpcCode::kInternal, "not exactly one message in the answer"};
    callback(std::move(*result));
  };
  answer->setCall(client_.send(endpoint_, std::move(o), handlerOf(answer)));
}

std::shared_ptr<GrpcStream> GrpcChannel::open(std::string method, GrpcOptions options,
                                              GrpcStreamHandler handler) {
  CallOptions o = callOptions(std::move(method), options);
  o.streamBody = true;
  auto answer = std::make_shared<Answer>(options.maxMessage);
  answer->onMessage = std::move(handler.onMessage);
  answer->onEnd = [end = std::move(handler.onEnd)](const GrpcStatus& status, const Headers&) {
    if (end) end(status);
  };
  auto call = client_.send(endpoint_, std::move(o), handlerOf(answer));
  answer->setCall(call);
  return std::make_shared<StreamImpl>(std::move(call));
}

GrpcResult GrpcChannel::unaryAndWait(std::string method, std::string_view request, GrpcOptions options) {
  std::mutex mutex;
  std::condition_variable wake;
  bool done = false;
  GrpcResult result;
  unary(std::move(method), request, std::move(options), [&](GrpcResult r) {
    std::lock_guard lock(mutex);
    result = std::move(r);
    done = true;
    wake.notify_one();
  });
  std::unique_lock lock(mutex);
  wake.wait(lock, [&] { return done; });
  return result;
}

}  // namespace km::http
