// What a request asks for, read from its method and path alone
// (apiserver/pkg/endpoints/request/requestinfo.go).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace km::apiserver {

struct RequestInfo {
  bool isResource = false;
  std::string path;  // decoded
  std::string
      verb;  // "get", "list", "watch", "create", ...; a non-resource request: the method in lower case
  std::string prefix;  // "api" or "apis"
  std::string group;
  std::string version;
  std::string ns;
  std::string resource;
  std::string subresource;
  std::string name;
  std::string fieldSelector;       // of a list, watch or deletecollection
  std::vector<std::string> parts;  // of the path behind the version and namespace
};

// The parameters of a query, decoded. Views into `text` where nothing had to be decoded are not attempted:
// copies.
class Query {
 public:
  Query() = default;
  explicit Query(std::string_view text);
  // The first value, or "".
  std::string_view get(std::string_view key) const;
  bool has(std::string_view key) const;
  // A boolean as upstream reads it: whatever is there is true but "0" and "false".
  bool flag(std::string_view key) const;
  std::vector<std::string_view> all(std::string_view key) const;
  bool empty() const { return pairs_.empty(); }
  // Whether the text was well-formed.
  bool ok() const { return ok_; }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
  bool ok_ = true;
};

// `path` as sent.
RequestInfo readRequestInfo(std::string_view method, std::string_view path, const Query& query);

// The parts of a decoded path between slashes; what slashes frame, empty or not, counts, but for the
// outermost.
std::vector<std::string> pathSegments(std::string_view path);

// Percent-decoding of a path; false on a malformed escape.
bool percentDecode(std::string_view text, bool plusIsSpace, std::string& out);

}  // namespace km::apiserver
