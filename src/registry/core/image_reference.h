#pragma once

#include <optional>
#include <string_view>

namespace km::registry {

// The tag of an image reference: "latest" where there is neither tag nor digest, empty where there is only a digest; nothing
// where the text is no reference (the grammar of github.com/distribution/reference).
std::optional<std::string_view> imageTag(std::string_view image);

}  // namespace km::registry
