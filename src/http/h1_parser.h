// HTTP/1.x messages from bytes, for both sides; strict, so that no other reader of the same bytes can see
// different messages. No I/O.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "http/headers.h"

namespace km::http {

class H1Parser {
 public:
  enum class Kind { kRequest, kResponse };
  enum class Event {
    kNeedMore,  // all bytes are used up
    kHead,      // the head is there: see below
    kBody,      // body() holds the next piece, a view into the input
    kEnd,       // the message is complete (trailers() are there); the next next() begins another one
    kError,     // error() says why; nothing may follow
  };
  struct Limits {
    size_t headBytes = 1 << 20;
    size_t headerCount = 1000;
  };

  H1Parser(Kind kind, Limits limits) : kind_(kind), limits_(limits) {}

  // Takes bytes from the front of `in`, up to one event.
  Event next(std::string_view& in);
  // The other side closed: kEnd if that ends the message, kNeedMore if no message had begun, else kError.
  Event finish();

  // For a response, before its head comes: the request was HEAD or CONNECT, so no body follows.
  void expectNoBody() { noBody_ = true; }

  // Of the head; good until the next message.
  std::string method, target;
  int status = 0;
  int minor = 1;  // of HTTP/1.x
  Headers headers;
  bool keepAlive = true;  // the connection may carry another message
  bool expectContinue = false;
  bool upgrade = false;  // "connection: upgrade"
  bool chunked = false;
  bool hasLength = false;
  uint64_t length = 0;  // of the body, if hasLength
  bool hasBody() const { return chunked || untilClose_ || length > 0; }

  std::string_view body() const { return body_; }
  Headers& trailers() { return trailers_; }
  // Code 400, 431, 501 or 505 for the answer to a bad request.
  const Status& error() const { return error_; }
  bool betweenMessages() const { return state_ == State::kHead && buffered_.empty(); }

 private:
  enum class State {
    kHead,
    kFixed,
    kUntilClose,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailers,
    kDone,
    kError
  };

  Event fail(int code, std::string_view why);
  Event parseHead(std::string_view head);
  bool parseStartLine(std::string_view line);
  bool parseField(std::string_view line, Headers& into);
  bool interpret();
  bool interpretLength();
  Event readBody(std::string_view& in);
  Event readChunkSize(std::string_view& in);
  Event readTrailers(std::string_view& in);
  // One line without its CRLF, or false if it is not complete yet; buffers the part.
  bool takeLine(std::string_view& in, std::string_view& line);

  const Kind kind_;
  const Limits limits_;
  State state_ = State::kHead;
  std::string buffered_;  // an incomplete head or line
  std::string line_;
  uint64_t left_ = 0;  // of the body or chunk
  size_t trailerBytes_ = 0;
  std::string_view body_;
  Headers trailers_;
  Status error_;
  bool noBody_ = false;
  bool untilClose_ = false;
};

}  // namespace km::http
