// Runs in the page. WCAG 2.2 AA: 4.5 : 1 for text, 3 : 1 for large text.
;(() => {
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = 1
  const pen = canvas.getContext('2d', { willReadFrequently: true })

  /** Paints colours over white, in order, and reads what comes out: browsers write colours in many ways. */
  const paint = (colours) => {
    pen.fillStyle = 'white'
    pen.fillRect(0, 0, 1, 1)
    for (const colour of colours) {
      pen.fillStyle = colour
      pen.fillRect(0, 0, 1, 1)
    }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3)
  }
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => {
      const share = part / 255
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const backgrounds = (element) => {
    const colours = []
    for (let at = element; at !== null; at = at.parentElement)
      colours.unshift(getComputedStyle(at).backgroundColor)
    return [
      getComputedStyle(document.documentElement).colorScheme.includes('dark') &&
      matchMedia('(prefers-color-scheme: dark)').matches
        ? '#121212'
        : 'white',
      ...colours,
    ]
  }
  const contrast = (element) => {
    const behind = backgrounds(element)
    const [a, b] = [paint(behind), paint([...behind, getComputedStyle(element).color])].map(luminance)
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
  }
  const pale = []
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes]
      .filter(({ nodeType }) => nodeType === 3)
      .map(({ data }) => data.trim())
      .join('')
    if (text === '' || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue
    if (element.matches('script, style, noscript, :disabled')) continue
    const { fontSize, fontWeight } = getComputedStyle(element)
    const large = parseFloat(fontSize) >= 24 || (parseFloat(fontSize) >= 18.66 && Number(fontWeight) >= 700)
    const ratio = contrast(element)
    if (ratio < (large ? 3 : 4.5)) pale.push(`${text.slice(0, 40)} (${ratio.toFixed(1)} : 1)`)
  }
  const { scrollWidth, clientWidth } = document.documentElement
  return { pale, overhang: scrollWidth - clientWidth }
})()
