// The one place that knows which std::optional stands in an optional field (Shape::kOpt) of each kind but messages. For the sources of this
// room only.
#pragma once

#include <optional>
#include <type_traits>

#include "codec/scalars.h"
#include "codec/string.h"
#include "codec/type.h"

namespace km::codec {

// Calls f with the optional of the kind's C++ type.
template <typename P, typename F>
auto withOptional(P* p, Kind kind, F f) {
  auto cast = [p]<typename T>(T*) -> auto& {
    using O = std::conditional_t<std::is_const_v<P>, const std::optional<T>, std::optional<T>>;
    return *static_cast<O*>(p);
  };
  switch (kind) {
    case Kind::kBool: return f(cast(static_cast<bool*>(nullptr)));
    case Kind::kInt32: return f(cast(static_cast<int32_t*>(nullptr)));
    case Kind::kUint32: return f(cast(static_cast<uint32_t*>(nullptr)));
    case Kind::kInt64: return f(cast(static_cast<int64_t*>(nullptr)));
    case Kind::kUint64: return f(cast(static_cast<uint64_t*>(nullptr)));
    case Kind::kDouble: return f(cast(static_cast<double*>(nullptr)));
    case Kind::kQuantity: return f(cast(static_cast<Quantity*>(nullptr)));
    case Kind::kTime: return f(cast(static_cast<Time*>(nullptr)));
    case Kind::kMicroTime: return f(cast(static_cast<MicroTime*>(nullptr)));
    case Kind::kDuration: return f(cast(static_cast<GoDuration*>(nullptr)));
    case Kind::kIntOrString: return f(cast(static_cast<IntOrString*>(nullptr)));
    case Kind::kRawJson: return f(cast(static_cast<RawJson*>(nullptr)));
    default: return f(cast(static_cast<String*>(nullptr)));
  }
}

}  // namespace km::codec
