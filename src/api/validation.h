// Formats of names, labels and other texts (k8s.io/apimachinery/pkg/util/validation). Each function returns what is wrong, in
// upstream's words; an empty list means valid.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace km::api {

using Messages = std::vector<std::string>;

Messages isDns1123Label(std::string_view s);
Messages isDns1123Subdomain(std::string_view s);
Messages isDns1035Label(std::string_view s);
Messages isQualifiedName(std::string_view s);
Messages isValidLabelValue(std::string_view s);
Messages isValidPortNum(int64_t port);
Messages isValidPortName(std::string_view s);
Messages isEnvVarName(std::string_view s);           // relaxed: any printable ASCII but "="
Messages isCIdentifier(std::string_view s);
Messages isConfigMapKey(std::string_view s);
Messages isHttpHeaderName(std::string_view s);
// Names that may not stand in a URL path: "." ".." and those with "/" or "%".
Messages isValidPathSegmentName(std::string_view s);
Messages isWildcardDns1123Subdomain(std::string_view s);

}  // namespace km::api
