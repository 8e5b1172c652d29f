#include "apiserver/exchange_context.h"

#include <fmt/format.h>

#include "apiserver/compress.h"
#include "apiserver/deadlines.h"
#include "apiserver/render.h"
#include "codec/json.h"

namespace km::apiserver {
namespace {

constexpr size_t kCompressFrom = 128 << 10;  // smaller answers are not worth it

// The text of a Warning header: quoted, without what HTTP does not allow.
std::string warningHeader(std::string_view text) {
  std::string out = "299 - \"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

}  // namespace

HttpCall::~HttpCall() {
  if (deadlines) deadlines->remove(*this, deadline);
  if (exchange != nullptr) metrics.end(info, query.get("dryRun") == "All", exchange->status(), Clock::system().monotonic() - started);
}

http::Headers HttpCall::headers(std::string_view contentType) const {
  http::Headers h;
  h.add("audit-id", auditId);
  h.add("cache-control", "no-cache, private");
  if (closing) h.add("connection", "close");
  if (!contentType.empty()) h.add("content-type", contentType);
  if (!flowSchemaUid.empty()) {
    h.add("x-kubernetes-pf-flowschema-uid", flowSchemaUid);
    h.add("x-kubernetes-pf-prioritylevel-uid", priorityLevelUid);
  }
  // As upstream: no text twice, and a bound on all of them.
  size_t total = 0;
  std::vector<std::string_view> seen;
  for (const std::string& w : warnings) {
    if (std::find(seen.begin(), seen.end(), w) != seen.end()) continue;
    seen.push_back(w);
    total += w.size();
    if (total > 4096) break;
    h.add("warning", warningHeader(w));
  }
  return h;
}

void HttpCall::answer(int code, http::Body body, std::string_view contentType) {
  seat.reset();
  http::Headers h = headers(contentType);
  if (body.size() > kCompressFrom && acceptsGzip(request().headers.get("accept-encoding"))) {
    body = gzip(std::move(body));
    h.add("content-encoding", "gzip");
    h.add("vary", "Accept-Encoding");
  }
  exchange->respond(code, std::move(h), std::move(body));
}

void HttpCall::answerText(int code, std::string_view text) {
  seat.reset();
  http::Headers h = headers("text/plain; charset=utf-8");
  h.add("x-content-type-options", "nosniff");
  exchange->respond(code, std::move(h), http::Body(std::string(text)));
}

void HttpCall::answerJson(int code, std::string json) {
  if (format.pretty) {
    json = codec::prettyJson(json);
  } else {
    json += '\n';
  }
  answer(code, http::Body(std::move(json)), "application/json");
}

void HttpCall::fail(const Status& s) {
  seat.reset();
  const OutputFormat& f = errorFormat;
  http::Headers h = headers(f.contentType());
  if (const StatusDetails* d = s.details(); d != nullptr && d->retryAfterSeconds > 0) {
    h.add("retry-after", std::to_string(d->retryAfterSeconds));
  }
  exchange->respond(s.code(), std::move(h), renderStatus(s, f));
}

void HttpCall::tellLate() {
  // A write's handler gives up its wait; of anything else the filter around it does.
  bool write = request().method != "GET" && request().method != "HEAD" && info.isResource;
  Status late = errors::timeout(write ? "request did not complete within requested timeout - context deadline exceeded"
                                      : "request did not complete within the allotted timeout",
                                0);
  // No warnings: the handler may be adding some.
  http::Headers h;
  h.add("audit-id", auditId);
  h.add("cache-control", "no-cache, private");
  h.add("content-type", errorFormat.contentType());
  exchange->respond(late.code(), std::move(h), renderStatus(late, errorFormat));
}

}  // namespace km::apiserver
