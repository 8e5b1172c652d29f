#include "http/h1_parser.h"

#include <gtest/gtest.h>

namespace km::http {
namespace {

using Event = H1Parser::Event;

// The events of a text as words: "head body(..) end", fed in pieces of `step` bytes.
std::string run(H1Parser& p, std::string_view text, size_t step) {
  std::string out, body;
  auto flush = [&] {
    if (!body.empty()) out += "body(" + body + ") ";
    body.clear();
  };
  while (!text.empty()) {
    std::string_view piece = text.substr(0, step);
    text.remove_prefix(piece.size());
    while (true) {
      Event e = p.next(piece);
      if (e == Event::kNeedMore) break;
      if (e == Event::kBody) {
        body += p.body();
        continue;
      }
      flush();
      if (e == Event::kHead)
        out += (p.method.empty() ? std::to_string(p.status) : p.method + " " + p.target) + " ";
      if (e == Event::kEnd) out += "end ";
      if (e == Event::kError) return out + std::to_string(p.error().code());
    }
  }
  flush();
  if (!out.empty()) out.pop_back();
  return out;
}

std::string request(std::string_view text) {
  std::string whole;
  for (size_t step : {size_t{100000}, size_t{1}, size_t{3}}) {
    H1Parser p(H1Parser::Kind::kRequest, {4096, 20});
    std::string got = run(p, text, step);
    if (whole.empty()) whole = got;
    EXPECT_EQ(got, whole) << "in steps of " << step << ": " << text;
  }
  return whole;
}

TEST(H1Parser, ReadsPipelinedRequests) {
  EXPECT_EQ(
      request(
          "GET /a?b HTTP/1.1\r\nHost: x\r\n\r\nPOST /c HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello"
          "\r\nGET /d HTTP/1.1\r\nHost:x\r\n\r\n"),
      "GET /a?b end POST /c body(hello) end GET /d end");
}

TEST(H1Parser, ReadsChunks) {
  EXPECT_EQ(request("POST /c HTTP/1.1\r\nhost: x\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n"),
            "POST /c body(hello!) end");
}

TEST(H1Parser, RefusesWhatOthersMayReadDifferently) {
  const char* const host = "Host: x\r\n";
  auto post = [&](std::string fields, std::string body) {
    return request("POST / HTTP/1.1\r\n" + std::string(host) + fields + "\r\n" + body);
  };
  EXPECT_EQ(post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "400");
  EXPECT_EQ(post("Content-Length: 1\r\nContent-Length: 2\r\n", "ab"), "400");
  EXPECT_EQ(post("Content-Length: +1\r\n", "a"), "400");
  EXPECT_EQ(post("Content-Length: 1, 1\r\n", "a"), "400");
  EXPECT_EQ(post("Content-Length : 1\r\n", "a"), "400");
  EXPECT_EQ(post("Transfer-Encoding: gzip, chunked\r\n", ""), "501");
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""), "501");
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n"), "POST / 400");
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\n", "5\r\nhelloX\r\n"), "POST / body(hello) 400");
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"), "POST / 400");
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\n", "5\nhello\r\n"), "POST / 400");
  EXPECT_EQ(post("A: b\r\n folded\r\n", ""), "400");
  EXPECT_EQ(post("A: b\n", ""), "400");
  EXPECT_EQ(post(std::string("A: b\0c\r\n", 8), ""), "400");
  EXPECT_EQ(request("GET / HTTP/1.1\r\n\r\n"), "400");
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), "400");
  EXPECT_EQ(request("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "505");
  EXPECT_EQ(request("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), "400");
  EXPECT_EQ(request("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), "400");
  EXPECT_EQ(request("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "501");
}

TEST(H1Parser, BoundsTheHead) {
  EXPECT_EQ(request("GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), "431");
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 30; ++i) many += "a: b\r\n";
  EXPECT_EQ(request(many + "\r\n"), "431");
}

TEST(H1Parser, KnowsWhenAResponseEnds) {
  H1Parser p(H1Parser::Kind::kResponse, {});
  EXPECT_EQ(run(p,
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 "
                "OK\r\ncontent-length: 2\r\n\r\nhi",
                7),
            "100 end 204 end 200 body(hi) end");
  p.expectNoBody();
  EXPECT_EQ(run(p, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", 100), "200 end");
  EXPECT_EQ(run(p, "HTTP/1.1 200 OK\r\n\r\nall of it", 5), "200 body(all of it)");
  EXPECT_EQ(p.finish(), Event::kEnd);
  EXPECT_EQ(run(p, "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhi", 100), "200 body(hi)");
  EXPECT_EQ(p.finish(), Event::kError);
}

}  // namespace
}  // namespace km::http
