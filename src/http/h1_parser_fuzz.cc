// HTTP/1.1: a message is the same however its bytes arrive.
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/h1_parser.h"

using km::http::H1Parser;

namespace {

// All that was read, as text. `step`: bytes that arrive at once.
std::string read(H1Parser::Kind kind, std::string_view bytes, size_t step) {
  H1Parser parser(kind, {.headBytes = 4096, .headerCount = 50});
  std::string out, body;
  auto flush = [&] {
    if (!body.empty()) out += "body " + body + "\n";
    body.clear();
  };
  while (!bytes.empty()) {
    std::string_view in = bytes.substr(0, step);
    bytes.remove_prefix(in.size());
    for (bool more = true; more;) {
      switch (parser.next(in)) {
        case H1Parser::Event::kNeedMore:
          more = false;
          break;
        case H1Parser::Event::kHead:
          out += "head " + parser.method + " " + parser.target + " " + std::to_string(parser.status) + "\n";
          break;
        case H1Parser::Event::kBody:
          body += parser.body();
          break;
        case H1Parser::Event::kEnd:
          flush();
          out += "end\n";
          break;
        case H1Parser::Event::kError:
          flush();
          // Of several faults the first to be seen is told, and that is a matter of arrival.
          return out + "error";
      }
    }
  }
  flush();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (auto kind : {H1Parser::Kind::kRequest, H1Parser::Kind::kResponse}) {
    std::string whole = read(kind, bytes, size + 1);
    if (read(kind, bytes, 1) != whole || read(kind, bytes, 7) != whole) std::abort();
  }
  return 0;
}
