// Compression of answers.
#pragma once

#include <string_view>

#include "http/message.h"

namespace km::apiserver {

// Whether the Accept-Encoding header takes gzip.
bool acceptsGzip(std::string_view acceptEncoding);

// The body as one gzip member; the fastest level, as upstream.
http::Body gzip(http::Body body);

}  // namespace km::apiserver
