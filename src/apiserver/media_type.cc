#include "apiserver/media_type.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <vector>

#include "base/strings.h"

namespace km::apiserver {
namespace {

struct Clause {
  std::string type, subtype;
  std::map<std::string, std::string, std::less<>> params;
  double q = 1.0;
};

std::string_view trimmed(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}

std::vector<std::string_view> splitOn(std::string_view s, char sep) {
  std::vector<std::string_view> out;
  for (;;) {
    size_t at = s.find(sep);
    out.push_back(trimmed(s.substr(0, at)));
    if (at == std::string_view::npos) return out;
    s.remove_prefix(at + 1);
  }
}

std::vector<Clause> parseAccept(std::string_view header) {
  std::vector<Clause> out;
  for (std::string_view part : splitOn(header, ',')) {
    if (part.empty()) continue;
    auto fields = splitOn(part, ';');
    size_t slash = fields[0].find('/');
    Clause c;
    c.type = fields[0].substr(0, slash);
    c.subtype = slash == std::string_view::npos ? (c.type == "*" ? "*" : "") : fields[0].substr(slash + 1);
    bool bad = c.subtype.empty();
    for (size_t i = 1; i < fields.size(); i++) {
      size_t eq = fields[i].find('=');
      if (eq == std::string_view::npos) continue;
      std::string_view key = trimmed(fields[i].substr(0, eq)), value = trimmed(fields[i].substr(eq + 1));
      if (key == "q") {
        std::from_chars(value.data(), value.data() + value.size(), c.q);
      } else {
        c.params[std::string(key)] = value;
      }
    }
    if (!bad) out.push_back(std::move(c));
  }
  std::stable_sort(out.begin(), out.end(), [](const Clause& a, const Clause& b) {
    if (a.q != b.q) return a.q > b.q;
    auto stars = [](const Clause& c) { return (c.type == "*") + (c.subtype == "*"); };
    return stars(a) < stars(b);
  });
  return out;
}

struct Offer {
  const char* type;
  const char* subtype;
  Encoding encoding;
};
constexpr Offer kOffers[] = {
    {"application", "json", Encoding::kJson},
    {"application", "yaml", Encoding::kYaml},
    {"application", "vnd.kubernetes.protobuf", Encoding::kProto},
};

// Whether the clause's parameters can be served in the encoding; fills the transformation.
bool acceptParams(const Clause& c, Forms forms, OutputFormat& out) {
  std::string as, group, version;
  for (const auto& [key, value] : c.params) {
    if (key == "as") {
      as = value;
    } else if (key == "g") {
      group = value;
    } else if (key == "v") {
      version = value;
    } else if (key == "stream") {
      if (!value.empty() && (value != "watch" || out.encoding == Encoding::kYaml)) return false;
    } else if (key == "pretty") {
      out.pretty = value == "1";
    }
  }
  if (as.empty() && group.empty() && version.empty()) return true;
  if (forms == Forms::kPlain || group != "meta.k8s.io" || (version != "v1" && version != "v1beta1")) return false;
  out.transformVersion = version;
  if (as == "Table") {
    out.transform = OutputFormat::Transform::kTable;
    return forms == Forms::kTables && out.encoding != Encoding::kProto;
  }
  out.transform = as == "PartialObjectMetadata" ? OutputFormat::Transform::kPartial : OutputFormat::Transform::kPartialList;
  return as == "PartialObjectMetadata" || as == "PartialObjectMetadataList";
}

constexpr char kAccepted[] =
    "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";

}  // namespace

std::string_view OutputFormat::contentType() const {
  switch (encoding) {
    case Encoding::kJson: return "application/json";
    case Encoding::kYaml: return "application/yaml";
    case Encoding::kProto: return "application/vnd.kubernetes.protobuf";
  }
  return "";
}

std::string_view OutputFormat::streamContentType() const {
  return encoding == Encoding::kProto ? "application/vnd.kubernetes.protobuf;stream=watch" : "application/json";
}

Result<OutputFormat> negotiate(std::string_view accept, std::string_view pretty, bool hasPretty, std::string_view userAgent,
                               Forms forms) {
  OutputFormat format;
  bool found = false;
  if (accept.empty()) accept = "*/*";
  for (const Clause& c : parseAccept(accept)) {
    for (const Offer& o : kOffers) {
      bool matches = (c.type == "*" && c.subtype == "*") || (c.type == o.type && (c.subtype == "*" || c.subtype == o.subtype));
      OutputFormat candidate;
      candidate.encoding = o.encoding;
      if (!matches || !acceptParams(c, forms, candidate)) continue;
      format = candidate;
      found = true;
      break;
    }
    if (found) break;
  }
  if (!found) return errors::notAcceptable(kAccepted);
  if (format.encoding == Encoding::kJson && !format.pretty) {
    if (hasPretty && !pretty.empty()) {
      format.pretty = pretty == "true" || pretty == "1" || pretty == "t" || pretty == "T" || pretty == "TRUE" || pretty == "True";
    } else {
      format.pretty = userAgent.starts_with("curl") || userAgent.starts_with("Wget") || userAgent.starts_with("Mozilla/5.0");
    }
  } else if (format.encoding != Encoding::kJson) {
    format.pretty = false;
  }
  return format;
}

Result<Encoding> bodyEncoding(std::string_view contentType) {
  if (contentType.empty()) return Encoding::kJson;
  std::string_view type = trimmed(contentType.substr(0, contentType.find(';')));
  if (type == "application/json") return Encoding::kJson;
  if (type == "application/yaml") return Encoding::kYaml;
  if (type == "application/vnd.kubernetes.protobuf") return Encoding::kProto;
  return errors::unsupportedMediaType(
      "the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, "
      "application/vnd.kubernetes.protobuf");
}

}  // namespace km::apiserver
