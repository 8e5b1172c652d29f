// One HTTP request on its way through the server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apiserver/call.h"
#include "apiserver/media_type.h"
#include "apiserver/request_info.h"
#include "apiserver/request_metrics.h"
#include "authn/user.h"
#include "base/clock.h"
#include "http/exchange.h"

namespace km::apiserver {

class Deadlines;

struct HttpCall : std::enable_shared_from_this<HttpCall> {
  std::shared_ptr<http::Exchange> exchange;
  RequestInfo info;
  Query query;
  authn::UserInfo user;
  OutputFormat format;       // what a handler has negotiated
  OutputFormat errorFormat;  // of errors: no error has another form than a Status
  std::shared_ptr<void> seat;  // what the request holds of its priority level until it is answered
  std::shared_ptr<void> ending;  // tells the server that there is nothing left to end
  std::string flowSchemaUid, priorityLevelUid;  // of the flow that the request belongs to
  std::string auditId;
  std::vector<std::string> warnings;
  bool closing = false;  // the connection ends after its requests
  Duration started{};
  std::shared_ptr<Deadlines> deadlines;  // where the request stands with `deadline`, if it has one
  Duration deadline{};
  RequestMetrics metrics;

  ~HttpCall();

  const http::Request& request() const { return exchange->request(); }
  // Headers that every answer carries, and the given content type.
  http::Headers headers(std::string_view contentType) const;
  void answer(int code, http::Body body, std::string_view contentType);
  void answerText(int code, std::string_view text);
  void answerJson(int code, std::string json);  // with the newline or prettiness of the format
  void fail(const Status& s);
  // 504, beside a handler that may be about to answer: the first answer counts.
  void tellLate();
  // Runs on the exchange's loop: now if that is this thread.
  void onLoop(std::function<void()> f) const { exchange->loop().dispatch(std::move(f)); }
};
using HttpCallPtr = std::shared_ptr<HttpCall>;

}  // namespace km::apiserver
